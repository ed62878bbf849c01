//! Messages whose subject says all of what they are.

/// A message with that subject: `7`, or `cat 7 of 9` for one that was put together.
pub fn text_of(subject: &str) -> String {
    let parts = subject.strip_prefix("cat ").and_then(|rest| rest.split_once(" of "));
    match parts {
        Some((_, inner)) => format!("{}{}", beginning(subject), body(inner)),
        None => beginning(subject),
    }
}

/// The header, and the part of the body that is not another message's.
pub fn beginning(subject: &str) -> String {
    let own = subject.strip_prefix("cat ").and_then(|rest| rest.split(' ').next());
    let id = subject.replace(' ', ".");
    let body = body(own.unwrap_or(subject));
    format!("Subject: {subject}\r\nMessage-ID: <{id}@x.test>\r\n\r\n{body}")
}

fn body(number: &str) -> String {
    let n: usize = number.parse().unwrap();
    (0..n % 7).map(|line| format!("{n} {line} {}\r\n", "x".repeat((n + line) % 60))).collect()
}
