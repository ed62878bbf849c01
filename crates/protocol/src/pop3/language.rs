//! The languages of the texts that people may see. RFC 6856 §3.
//!
//! Texts are written in English; a number in one stands for any number, and a response code before
//! one is no part of it.

/// A language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `en`
    #[default]
    English,
    /// `de`
    German,
}

impl Language {
    /// All of them, with their own names.
    pub const ALL: [(Language, &str, &str); 2] =
        [(Language::English, "en", "English"), (Language::German, "de", "Deutsch")];

    /// The language for a basic language range, the nearest one: `de-AT` is German; `*` is English.
    /// RFC 4647 §3.4.
    pub fn of_range(range: &str) -> Option<Language> {
        let primary = range.split('-').next().unwrap_or_default();
        let known = |(_, tag, _): &&(Language, &str, &str)| tag.eq_ignore_ascii_case(primary);
        match range {
            "*" => Some(Language::default()),
            _ => Language::ALL.iter().find(known).map(|(language, ..)| *language),
        }
    }

    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::German => "de",
        }
    }

    /// The text in this language; as it is when there is no translation.
    pub fn say(self, text: &str) -> String {
        if self == Language::English {
            return text.to_owned();
        }
        let (code, text) = match text.split_once("] ") {
            Some((code, rest)) if code.starts_with('[') => (Some(code), rest),
            _ => (None, text),
        };
        let (shape, numbers) = without_numbers(text);
        let found = GERMAN.iter().find(|(english, _)| *english == shape);
        let mut said = code.map_or(String::new(), |code| format!("{code}] "));
        match found {
            Some((_, german)) => {
                let mut numbers = numbers.into_iter();
                for piece in german.split_inclusive('#') {
                    match piece.strip_suffix('#') {
                        Some(before) => {
                            said.push_str(before);
                            said.push_str(&numbers.next().unwrap_or_default());
                        }
                        None => said.push_str(piece),
                    }
                }
            }
            None => said.push_str(text),
        }
        said
    }
}

/// The text with `#` for each number, and the numbers.
fn without_numbers(text: &str) -> (String, Vec<String>) {
    let (mut shape, mut numbers) = (String::new(), Vec::new());
    let mut number = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            shape.push('#');
            numbers.push(std::mem::take(&mut number));
        }
        if c != '\0' {
            shape.push(c);
        }
    }
    (shape, numbers)
}

/// English and German.
const GERMAN: &[(&str, &str)] = &[
    ("", ""),
    ("# messages (# octets)", "# Nachrichten (# Oktette)"),
    ("# octets", "# Oktette"),
    ("AUTH alone lists them", "AUTH allein zählt sie auf"),
    ("Another session deleted the message", "Eine andere Sitzung hat die Nachricht gelöscht"),
    ("Begin TLS", "TLS kann beginnen"),
    ("Bye", "Auf Wiedersehen"),
    ("Cannot check the password now", "Das Passwort kann jetzt nicht geprüft werden"),
    ("Cannot open the maildrop now", "Das Postfach kann jetzt nicht geöffnet werden"),
    ("Capabilities", "Fähigkeiten"),
    ("English it is", "Jetzt auf Englisch"),
    ("Jetzt auf Deutsch", "Jetzt auf Deutsch"),
    ("Languages", "Sprachen"),
    ("Line too long", "Die Zeile ist zu lang"),
    ("Lines end with CR LF, nothing else", "Zeilen enden mit CR LF, mit nichts anderem"),
    ("Log in again in # seconds", "Die nächste Anmeldung ist in # Sekunden möglich"),
    ("Log in first", "Erst anmelden"),
    ("Login given up", "Anmeldung abgebrochen"),
    ("Mechanisms", "Verfahren"),
    ("Message # goes at QUIT", "Nachricht # verschwindet bei QUIT"),
    ("No such language; LANG alone lists them", "Diese Sprache gibt es nicht; LANG zählt sie auf"),
    ("No such message", "Diese Nachricht gibt es nicht"),
    ("Not after UTF#", "Nicht nach UTF#"),
    ("Not now", "Jetzt nicht"),
    ("Nothing is marked any more", "Nichts ist mehr markiert"),
    (
        "Nothing may follow STLS before the handshake",
        "Nach STLS darf bis zum Beginn von TLS nichts kommen",
    ),
    ("Now the password", "Jetzt das Passwort"),
    (
        "Passwords only under TLS: use STLS first, or port #",
        "Passwörter nur unter TLS: erst STLS, oder Port #",
    ),
    ("Say USER first", "Erst USER"),
    ("Shutting down, come back soon", "Der Server geht aus, bitte bald wiederkommen"),
    ("Some messages were not deleted", "Einige Nachrichten wurden nicht gelöscht"),
    ("Something went wrong here", "Hier ging etwas schief"),
    ("That is not what the mechanism wants", "Das ist nicht, was das Verfahren verlangt"),
    (
        "The maildrop is in use by another session",
        "Das Postfach ist in einer anderen Sitzung geöffnet",
    ),
    (
        "The message has a header in UTF-#: say UTF# before the login",
        "Die Nachricht hat einen Kopf in UTF-#: vor der Anmeldung UTF# sagen",
    ),
    ("The message is damaged", "Die Nachricht ist beschädigt"),
    ("The message cannot be read now", "Die Nachricht kann jetzt nicht gelesen werden"),
    ("TLS is not to be had here", "TLS gibt es hier nicht"),
    ("TOP wants two numbers", "TOP verlangt zwei Zahlen"),
    ("This is a mail server, speak POP#", "Das ist ein Mailserver, er spricht POP#"),
    ("Too many commands without a login", "Zu viele Befehle ohne Anmeldung"),
    ("UTF-# it is", "UTF-# gilt"),
    ("Unknown mechanism; AUTH alone lists them", "Unbekanntes Verfahren; AUTH zählt sie auf"),
    ("Wrong user name or password", "Falscher Name oder falsches Passwort"),
    ("You are logged in already", "Schon angemeldet"),
    ("Your login does not hold any more", "Die Anmeldung gilt nicht mehr"),
    ("a message number is expected", "hier gehört die Nummer einer Nachricht hin"),
    ("an argument is missing", "ein Argument fehlt"),
    ("no argument expected", "hier gehört kein Argument hin"),
    ("not UTF-#", "kein UTF-#"),
    ("not allowed in names and passwords", "in Namen und Passwörtern nicht erlaubt"),
    ("too many arguments", "zu viele Argumente"),
    ("unknown command", "unbekannter Befehl"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text that a session says is in the table.
    #[test]
    fn everything_is_translated() {
        let sources = [
            include_str!("session.rs"),
            include_str!("command.rs"),
            include_str!("../../../server/src/pop3/mod.rs"),
        ];
        let mut seen = 0;
        for source in sources {
            let code = source.split("#[cfg(test)]").next().unwrap_or_default();
            let starts =
                ["ok(\"", "err(\"", "Err(\"", "ok_or(\"", "no(\"", "=> \"", "|_| \"", "yes(\""];
            for start in starts {
                for rest in code.split(start).skip(1) {
                    let text = rest.split('"').next().unwrap_or_default();
                    let text = text.split_once("] ").map_or(text, |(_, text)| text);
                    let (shape, _) = without_numbers(text);
                    let found = GERMAN.iter().any(|(english, _)| *english == shape);
                    assert!(found, "{text}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 25, "{seen}");
    }

    #[test]
    fn codes_and_numbers_stay() {
        let said = Language::German.say("[LOGIN-DELAY] Log in again in 7 seconds");
        assert_eq!(said, "[LOGIN-DELAY] Die nächste Anmeldung ist in 7 Sekunden möglich");
        assert_eq!(Language::German.say("3 messages (10 octets)"), "3 Nachrichten (10 Oktette)");
        assert_eq!(Language::English.say("3 messages"), "3 messages");
        let of = Language::of_range;
        assert_eq!((of("DE-at"), of("*")), (Some(Language::German), Some(Language::English)));
        assert_eq!((of("MUL"), of(""), of("en")), (None, None, Some(Language::English)));
    }
}
