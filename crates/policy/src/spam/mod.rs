//! Whether a message is spam to one account, by what it said of others. users.md I-84.
//!
//! Robinson's and Fisher's way of Bayes, as SpamBayes and bogofilter have it: each word that the
//! account's spam and other mail use differently often is an argument; the strongest ones are put
//! together twice, as evidence for spam and as evidence against. What is in balance, or unknown,
//! comes out near one half. Nothing else goes in, so every judgement can be told in words.
//!
//! It is octets in, values out: `store` keeps what was learned, `delivery` asks and acts.

mod knowledge;

use crate::limits::{SPAM_ARGUMENTS_MAX, SPAM_LESSONS_MIN};
pub use knowledge::{Lesson, Opinion, counts, learn};
use knowledge::{Words, key};

/// How much an account's own mail has to say before a word is believed: Robinson's s and x.
const PRIOR_STRENGTH: f64 = 0.45;
const PRIOR: f64 = 0.5;
/// Words nearer to one half than this are no arguments.
const DEVIATION_MIN: f64 = 0.1;
/// Arguments that are told.
const TOLD: usize = 5;

/// What was found of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// How probable it is that the account would call it spam: 0 to 1.
    pub probability: f64,
    /// The strongest arguments, strongest first: a token (`mail::tokens`), and how probable spam
    /// would be by it alone.
    pub strongest: Vec<(String, f64)>,
}

/// Judges a message by its tokens; `None` when too little was learned.
pub fn judge(words: &[u8], tokens: &[String]) -> Option<Judgement> {
    let words = Words::read(words)?;
    if words.spam < SPAM_LESSONS_MIN || words.ham < SPAM_LESSONS_MIN {
        return None;
    }
    let (spam, ham) = (f64::from(words.spam), f64::from(words.ham));
    let argument = |token: &String| {
        let (in_spam, in_ham) = words.of(key(token))?;
        let (in_spam, in_ham) = (f64::from(in_spam), f64::from(in_ham));
        let (often, seldom) = ((in_spam / spam).min(1.0), (in_ham / ham).min(1.0));
        let (seen, by_itself) = (in_spam + in_ham, often / (often + seldom));
        let believed = (PRIOR_STRENGTH * PRIOR + seen * by_itself) / (PRIOR_STRENGTH + seen);
        ((believed - 0.5).abs() >= DEVIATION_MIN).then(|| (token.clone(), believed))
    };
    let mut arguments: Vec<(String, f64)> = tokens.iter().filter_map(argument).collect();
    let strength = |argument: &(String, f64)| (argument.1 - 0.5).abs();
    arguments.sort_by(|a, b| strength(b).total_cmp(&strength(a)).then_with(|| a.0.cmp(&b.0)));
    arguments.truncate(SPAM_ARGUMENTS_MAX);
    let probability = combine(arguments.iter().map(|(_, p)| *p));
    arguments.truncate(TOLD);
    Some(Judgement { probability, strongest: arguments })
}

/// Fisher's method both ways: one half when the arguments are in balance or there are none.
fn combine(probabilities: impl Iterator<Item = f64>) -> f64 {
    let (mut for_spam, mut against, mut n) = (0.0, 0.0, 0);
    for p in probabilities {
        for_spam -= (1.0 - p).ln();
        against -= p.ln();
        n += 1;
    }
    if n == 0 {
        return 0.5;
    }
    let (spam, ham) = (1.0 - chi_squared(for_spam, n), 1.0 - chi_squared(against, n));
    ((1.0 + spam - ham) / 2.0).clamp(0.0, 1.0)
}

/// The probability that chi squared with `2 n` degrees of freedom is at least `2 m`.
fn chi_squared(m: f64, n: u32) -> f64 {
    let mut term = (-m).exp();
    let mut sum = term;
    for i in 1..n {
        term *= m / f64::from(i);
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn lesson(message: u64, text: &str, opinion: Opinion) -> Lesson {
        Lesson::new(message, &tokens(text), opinion)
    }

    /// So many spams about pills, and as many letters about a garden.
    fn taught(n: u64) -> Vec<u8> {
        let spam = (0..n).map(|n| lesson(n, &format!("cheap pills now s{n}"), Opinion::Spam));
        let ham = (0..n).map(|n| lesson(1000 + n, &format!("dear garden now h{n}"), Opinion::Ham));
        learn(&[], &[], &spam.chain(ham).collect::<Vec<_>>()).0
    }

    #[test]
    fn nothing_is_judged_before_enough_was_said() {
        let least = u64::from(SPAM_LESSONS_MIN);
        assert_eq!(judge(&[], &tokens("cheap")), None);
        assert_eq!(judge(&taught(least - 1), &tokens("cheap pills")), None);
        assert!(judge(&taught(least), &tokens("cheap pills")).is_some());
    }

    #[test]
    fn words_of_spam_make_spam_and_are_told() {
        let words = taught(120);
        let spam = judge(&words, &tokens("cheap pills now unknown")).unwrap();
        let ham = judge(&words, &tokens("dear garden now unknown")).unwrap();
        let both = judge(&words, &tokens("dear garden cheap pills")).unwrap();
        let neither = judge(&words, &tokens("never seen now")).unwrap();
        assert!(spam.probability > 0.9, "{spam:?}");
        assert!(ham.probability < 0.1, "{ham:?}");
        assert!((both.probability - 0.5).abs() < 0.01, "{both:?}");
        assert_eq!((neither.probability, neither.strongest.len()), (0.5, 0));
        // Words that both kinds use are no argument.
        let told: Vec<&str> = spam.strongest.iter().map(|(word, _)| word.as_str()).collect();
        assert_eq!(told, ["cheap", "pills"]);
    }

    #[test]
    fn chi_squared_is_that_of_the_tables() {
        // Upper tails: 5 % at 9.488 with 4 degrees of freedom, 1 % at 23.209 with 10.
        assert!((chi_squared(9.488 / 2.0, 2) - 0.05).abs() < 1e-4);
        assert!((chi_squared(23.209 / 2.0, 5) - 0.01).abs() < 1e-4);
        assert_eq!(chi_squared(2000.0, 150), 0.0);
    }
}
