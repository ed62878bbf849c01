//! The languages of texts for people, and one table of these texts (POP3 has its own).
//! RFC 5255 §3.
//!
//! Everything else says its texts in English; they are translated where they leave.

use std::borrow::Cow;

/// A language that texts can be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// `i-default`: English in ASCII. RFC 5255 §3.1.
    #[default]
    Default,
    /// English.
    English,
    /// German.
    German,
}

/// What LANGUAGE without arguments lists.
pub const ALL: &str = "EN DE i-default";

impl Language {
    /// Its tag.
    pub fn tag(self) -> &'static str {
        match self {
            Language::Default => "i-default",
            Language::English => "EN",
            Language::German => "DE",
        }
    }

    /// The language for the first range that fits: the range itself, or what is left when subtags
    /// are taken from its end. RFC 4647 §3.4. `default` is the one we are written in.
    pub fn find(ranges: &[String]) -> Option<Language> {
        ranges.iter().find_map(|range| {
            let mut range = range.to_ascii_lowercase();
            loop {
                match range.as_str() {
                    "i-default" => return Some(Language::Default),
                    "en" | "default" | "*" => return Some(Language::English),
                    "de" => return Some(Language::German),
                    _ => {}
                }
                range.truncate(range.rfind('-')?);
            }
        })
    }

    /// A text in this language. A response code at its front, in brackets, stays as it is.
    pub fn text(self, text: &str) -> Cow<'_, str> {
        if self != Language::German {
            return Cow::Borrowed(text);
        }
        let (code, words) = match text.strip_prefix('[').and_then(|_| end_of_code(text)) {
            Some(end) => text.split_at(end),
            None => ("", text),
        };
        match german(words) {
            Some(german) => Cow::Owned(format!("{code}{german}")),
            None => Cow::Borrowed(text),
        }
    }

    /// The prefix of other users' mailboxes; `None` where it stays as it is. RFC 5255 §3.4.
    pub fn other_users(self) -> Option<&'static str> {
        (self == Language::German).then_some("Andere Benutzer")
    }

    /// The prefix of public mailboxes; `None` where it stays as it is.
    pub fn public_folders(self) -> Option<&'static str> {
        (self == Language::German).then_some("Öffentliche Ordner")
    }
}

/// Where the words behind a response code begin; brackets between quotes do not count.
fn end_of_code(text: &str) -> Option<usize> {
    let mut quoted = false;
    let closing = |(_, c): &(usize, char)| {
        quoted ^= *c == '"';
        *c == ']' && !quoted
    };
    let (at, _) = text.char_indices().find(closing)?;
    text.get(at + 1..)?.starts_with(' ').then_some(at + 2)
}

fn german(text: &str) -> Option<String> {
    TEXTS.iter().find_map(|(english, german)| match english.split_once("{}") {
        None => (*english == text).then(|| (*german).to_owned()),
        Some((before, after)) => {
            let middle = text.strip_prefix(before)?.strip_suffix(after)?;
            Some(german.replacen("{}", middle, 1))
        }
    })
}

/// English and German; `{}` stands for whatever is there.
#[rustfmt::skip]
const TEXTS: &[(&str, &str)] = &[
    ("LANGUAGE completed", "Sprachwechsel durch LANGUAGE-Befehl ausgeführt"),
    ("{} completed", "{} ausgeführt"),
    ("Expected {}", "Der Befehl ist so nicht zu verstehen (erwartet: {})"),
    // The session.
    ("Logged in", "Angemeldet"),
    ("Logged out", "Abgemeldet"),
    ("Goodbye", "Auf Wiedersehen"),
    ("That is what there is", "Das ist alles"),
    ("These are the languages", "Das sind die Sprachen"),
    ("That language is not known", "Diese Sprache ist nicht bekannt"),
    ("Begin TLS", "TLS kann beginnen"),
    (
        "Nothing may follow STARTTLS before the handshake",
        "Nach STARTTLS darf bis zum Beginn von TLS nichts kommen",
    ),
    ("Too many commands without a login", "Zu viele Befehle ohne Anmeldung"),
    ("TLS is not to be had here", "TLS gibt es hier nicht"),
    ("You are logged in already", "Sie sind schon angemeldet"),
    ("Log in first", "Melden Sie sich zuerst an"),
    ("log in first", "Melden Sie sich zuerst an"),
    ("Passwords only under TLS: use STARTTLS first", "Passwörter nur unter TLS: zuerst STARTTLS"),
    ("Unknown mechanism; CAPABILITY lists them", "Unbekanntes Verfahren; CAPABILITY nennt die bekannten"),
    ("That is not what the mechanism wants", "Das ist nicht, was das Verfahren verlangt"),
    ("Login given up", "Anmeldung abgebrochen"),
    ("Wrong user name or password", "Falscher Benutzername oder falsches Passwort"),
    ("Too many connections of this account", "Zu viele Verbindungen dieses Kontos"),
    ("Cannot check the password now", "Das Passwort kann gerade nicht geprüft werden"),
    ("Your login does not hold any more", "Ihre Anmeldung gilt nicht mehr"),
    ("Compressed from here on", "Von hier an komprimiert"),
    ("It is compressed already", "Es ist schon komprimiert"),
    ("Only DEFLATE is known", "Nur DEFLATE ist bekannt"),
    ("Say ENABLE QRESYNC first", "Zuerst ENABLE QRESYNC"),
    ("Select a mailbox first", "Wählen Sie zuerst ein Postfach aus"),
    ("A tag is expected", "Am Anfang fehlt die Marke des Befehls"),
    ("Command line too long", "Die Befehlszeile ist zu lang"),
    ("Line too long", "Die Zeile ist zu lang"),
    ("With its filters, the search is too large", "Mit ihren Filtern ist die Suche zu umfangreich"),
    ("Literal too large", "Das Literal ist zu groß"),
    ("Only DONE ends IDLE", "Nur DONE beendet IDLE"),
    ("This is a mail server, speak IMAP", "Das ist ein Mailserver, er spricht IMAP"),
    ("Send the message", "Senden Sie die Nachricht"),
    ("Go ahead", "Weiter"),
    ("Idling", "Neues wird gemeldet"),
    ("Still here", "Noch da"),
    ("Too many errors", "Zu viele Fehler"),
    ("Timed out waiting for you", "Zu lange nichts von Ihnen gehört"),
    ("Shutting down, come back soon", "Der Server hält an, kommen Sie bald wieder"),
    ("Something went wrong here", "Hier ist etwas schiefgegangen"),
    ("The connection is lost", "Die Verbindung ist verloren"),
    ("Not now", "Jetzt nicht"),
    // Mailboxes.
    ("First unseen", "Erste ungelesene"),
    ("Flags that stay", "Bleibende Markierungen"),
    ("UIDs valid", "UIDs gültig"),
    ("Next UID", "Nächste UID"),
    ("Highest", "Höchste"),
    ("Its id", "Seine Kennung"),
    ("Annotations", "Anmerkungen"),
    ("You may not change those annotations", "Diese Anmerkungen dürfen Sie nicht ändern"),
    ("No standard names that entry, and it is not under /vendor/", "Kein Standard nennt diesen Eintrag, und er ist nicht unter /vendor/"),
    ("That annotation is too long", "Diese Anmerkung ist zu lang"),
    ("The flag of a part is 1 or 0", "Die Markierung eines Teils ist 1 oder 0"),
    ("Not all messages have such a part", "Nicht alle Nachrichten haben diesen Teil"),
    ("no such part", "Diesen Teil gibt es nicht"),
    ("The message has no such part", "Die Nachricht hat diesen Teil nicht"),
    ("So many annotations at once are too many", "So viele Anmerkungen auf einmal sind zu viele"),
    ("so many annotations at once are too many", "So viele Anmerkungen auf einmal sind zu viele"),
    ("the message cannot have more annotations", "Die Nachricht kann nicht mehr Anmerkungen haben"),
    ("The mailbox before is closed", "Das Postfach davor ist geschlossen"),
    ("The mailbox is open for reading only", "Das Postfach ist nur zum Lesen offen"),
    ("There is no such mailbox", "Dieses Postfach gibt es nicht"),
    ("no such mailbox", "Dieses Postfach gibt es nicht"),
    ("You may not read that mailbox any more", "Sie dürfen dieses Postfach nicht mehr lesen"),
    ("you may not do that with this mailbox", "Das dürfen Sie mit diesem Postfach nicht tun"),
    ("You may not change those flags", "Diese Markierungen dürfen Sie nicht ändern"),
    ("You may not take messages out of this mailbox", "Aus diesem Postfach dürfen Sie nichts entfernen"),
    ("One of \\Archive, \\Drafts, \\Junk, \\Sent, \\Trash, please", "Bitte \\Archive, \\Drafts, \\Junk, \\Sent oder \\Trash"),
    ("the mailbox has others below it", "Unter dem Postfach liegen andere"),
    ("the mailbox cannot have more keywords", "Mehr Schlüsselwörter kann das Postfach nicht haben"),
    ("the mailbox has used up its UIDs", "Die UIDs des Postfachs sind aufgebraucht"),
    ("INBOX cannot be deleted", "INBOX kann nicht gelöscht werden"),
    ("a mailbox cannot go below itself", "Ein Postfach kann nicht unter sich selbst liegen"),
    ("a mailbox stays with its account", "Ein Postfach bleibt bei seinem Konto"),
    ("another mailbox has this special use already", "Diese Verwendung hat schon ein anderes Postfach"),
    ("that cannot be a name", "So kann ein Postfach nicht heißen"),
    ("that name is for the mailboxes of others", "Dieser Name ist für die Postfächer anderer"),
    ("the account has as many mailboxes as it can have", "Mehr Postfächer kann das Konto nicht haben"),
    (
        "the account has as many subscriptions as it can have",
        "Mehr Postfächer kann das Konto nicht abonnieren",
    ),
    ("the new name is too long", "Der neue Name ist zu lang"),
    ("Only addresses and anyone can have rights", "Nur Adressen und anyone können Rechte haben"),
    ("The owner has all rights always", "Der Eigentümer hat immer alle Rechte"),
    ("That cannot be an identifier", "Das kann kein Name sein"),
    ("Some of the messages are gone", "Einige der Nachrichten gibt es nicht mehr"),
    ("There is no such right", "Dieses Recht gibt es nicht"),
    ("Only your own mailboxes can have a special use", "Nur eigene Postfächer haben eine besondere Verwendung"),
    ("INBOX has no special use", "INBOX hat keine besondere Verwendung"),
    ("there is no such use", "Diese Verwendung gibt es nicht"),
    ("the list is as long as it can be", "Die Liste kann nicht länger werden"),
    // Messages.
    ("Only the newest messages", "Nur die neuesten Nachrichten"),
    ("Message numbers are switched off", "Nachrichtennummern sind abgeschaltet"),
    ("Batches have at least {} messages", "Ein Stapel hat mindestens {} Nachrichten"),
    ("The first batch comes before the last", "Der erste Stapel kommt vor dem letzten"),
    ("There is no message of that number", "Eine Nachricht mit dieser Nummer gibt es nicht"),
    ("There is not exactly one such message", "Es gibt nicht genau eine solche Nachricht"),
    ("No message came", "Es kam keine Nachricht"),
    ("The message is empty", "Die Nachricht ist leer"),
    ("The message is larger than this server takes", "Die Nachricht ist größer, als dieser Server annimmt"),
    ("There are NULs in the message that cannot be encoded", "In der Nachricht sind NUL-Zeichen, die sich nicht kodieren lassen"),
    ("So many messages at once are too many", "So viele Nachrichten auf einmal sind zu viele"),
    ("URLs give too much at once", "URLs ergeben zu viel auf einmal"),
    ("Nothing of ours is there", "Dort ist nichts von uns"),
    ("Stored", "Gespeichert"),
    ("Moved", "Verschoben"),
    ("Some have changed", "Einige haben sich geändert"),
    ("Some messages cannot be had any more", "Einige Nachrichten gibt es nicht mehr"),
    ("Some messages are damaged and cannot be read", "Einige Nachrichten sind beschädigt und nicht lesbar"),
    ("Some parts cannot be decoded", "Einige Teile lassen sich nicht dekodieren"),
    // Searching.
    ("Texts are in UTF-8 after ENABLE UTF8=ACCEPT: no CHARSET", "Nach ENABLE UTF8=ACCEPT sind Texte in UTF-8: kein CHARSET"),
    ("Filters are in UTF-8", "Filter sind in UTF-8"),
    ("That is no search", "Das ist keine Suche"),
    ("That charset is not known", "Dieser Zeichensatz ist nicht bekannt"),
    ("There is no such filter", "Diesen Filter gibt es nicht"),
    ("Still searching", "Die Suche läuft noch"),
    ("Tag reuse", "Diese Marke ist schon in Gebrauch"),
    ("Too many contexts", "Zu viele laufende Suchen"),
    ("SAVE goes with the selected mailbox only", "SAVE gilt nur für das ausgewählte Postfach"),
    ("So many mailboxes at once are too many", "So viele Postfächer auf einmal sind zu viele"),
    // URLAUTH.
    ("All keys removed", "Alle Schlüssel entfernt"),
    ("A new key", "Ein neuer Schlüssel"),
    ("How URLs are vouched for", "So wird für URLs gebürgt"),
    // NOTIFY, METADATA, QUOTA.
    ("These are the events", "Das sind die Ereignisse"),
    ("There are too many mailboxes to watch", "Es sind zu viele Postfächer"),
    ("Too many mailboxes: watching none", "Zu viele Postfächer: keines wird mehr beobachtet"),
    ("There are too many", "Es sind zu viele"),
    ("That is too long", "Das ist zu lang"),
    ("Those are the operator's to set", "Das kann nur der Betreiber setzen"),
    ("Limits are the operator's to set", "Grenzen setzt nur der Betreiber"),
    ("There is no such resource", "Diese Art von Grenze gibt es nicht"),
    ("There is no such quota root", "Diese Grenze gibt es nicht"),
    ("the account holds as much as it may", "Das Konto ist voll"),
    // The store.
    ("the disk is full", "Die Festplatte ist voll"),
    ("the store stopped writing: {}", "Der Speicher schreibt nicht mehr: {}"),
    ("the data folder is in use by {}", "Der Datenordner wird benutzt von {}"),
    ("stored data is damaged: {}", "Gespeicherte Daten sind beschädigt: {}"),
    ("the database failed: {}", "Die Datenbank hat versagt: {}"),
    ("the mailbox {} exists already", "Das Postfach {} gibt es schon"),
    ("{} does not exist", "{} gibt es nicht"),
    ("{} exists already", "{} gibt es schon"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_find_languages() {
        let find = |ranges: &[&str]| {
            let ranges: Vec<String> = ranges.iter().map(|range| (*range).to_owned()).collect();
            Language::find(&ranges)
        };
        // RFC 5255 §3.2.
        assert_eq!(find(&["MUL"]), None);
        assert_eq!(find(&["DE"]), Some(Language::German));
        assert_eq!(find(&["DE-IT"]), Some(Language::German));
        assert_eq!(find(&["FR-CA", "EN-CA"]), Some(Language::English));
        assert_eq!(find(&["default"]), Some(Language::English));
        assert_eq!(find(&["i-default", "de"]), Some(Language::Default));
        assert_eq!(find(&["den", ""]), None);
    }

    #[test]
    fn texts_are_translated_and_codes_are_not() {
        let german = |text| Language::German.text(text).into_owned();
        assert_eq!(german("NOOP completed"), "NOOP ausgeführt");
        assert_eq!(german("[READ-ONLY] SELECT completed"), "[READ-ONLY] SELECT ausgeführt");
        assert_eq!(
            german("[BADURL \"a] b\"] Nothing of ours is there"),
            "[BADURL \"a] b\"] Dort ist nichts von uns"
        );
        assert_eq!(german("[x"), "[x");
        assert_eq!(german("nobody knows"), "nobody knows");
        assert_eq!(Language::English.text("NOOP completed"), "NOOP completed");
    }
}
