//! Command lines into values. RFC 1939 §5 to §7.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// USER
    User(String),
    /// PASS
    Pass(String),
    /// AUTH: mechanism and initial response; without a mechanism, the list of them.
    Auth(Option<(String, Option<String>)>),
    /// STLS
    Stls,
    /// CAPA
    Capa,
    /// QUIT
    Quit,
    /// NOOP
    Noop,
    /// STAT
    Stat,
    /// LIST
    List(Option<u32>),
    /// UIDL
    Uidl(Option<u32>),
    /// RETR
    Retr(u32),
    /// TOP: message and lines of its body.
    Top(u32, u64),
    /// DELE
    Dele(u32),
    /// RSET
    Rset,
    /// UTF8. RFC 6856 §2.1.
    Utf8,
    /// LANG and a language range; without one, the list of languages. RFC 6856 §3.
    Lang(Option<String>),
}

impl Command {
    /// Reads a line without its CRLF; the error says what is wrong.
    pub fn parse(line: &[u8]) -> Result<Command, &'static str> {
        // Passwords are credentials, and a code says so (RFC 3206 §6); of names it would tell that
        // there are such (§5).
        let is_password = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"PASS "));
        let text = std::str::from_utf8(line).map_err(|_| match is_password {
            true => "[AUTH] not UTF-8",
            false => "not UTF-8",
        })?;
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let args = rest.trim_ascii();
        match verb.to_ascii_uppercase().as_str() {
            "USER" if rest.chars().any(prohibited) => Err("not allowed in names and passwords"),
            "PASS" if rest.chars().any(prohibited) => {
                Err("[AUTH] not allowed in names and passwords")
            }
            "USER" if !args.is_empty() => Ok(Command::User(args.to_owned())),
            // Blanks belong to the password. RFC 1939 §7 PASS.
            "PASS" if !rest.is_empty() => Ok(Command::Pass(rest.to_owned())),
            "USER" | "PASS" => Err("an argument is missing"),
            "AUTH" => auth(args),
            "STLS" => alone(args, Command::Stls),
            "CAPA" => alone(args, Command::Capa),
            "QUIT" => alone(args, Command::Quit),
            "NOOP" => alone(args, Command::Noop),
            "STAT" => alone(args, Command::Stat),
            "RSET" => alone(args, Command::Rset),
            "UTF8" => alone(args, Command::Utf8),
            "LANG" => Ok(Command::Lang((!args.is_empty()).then(|| args.to_owned()))),
            "LIST" => maybe_number(args).map(Command::List),
            "UIDL" => maybe_number(args).map(Command::Uidl),
            "RETR" => number(args).map(Command::Retr),
            "DELE" => number(args).map(Command::Dele),
            "TOP" => {
                let (message, lines) = args.split_once(' ').ok_or("TOP wants two numbers")?;
                let lines = lines.trim_ascii();
                if lines.is_empty() || !lines.bytes().all(|b| b.is_ascii_digit()) {
                    return Err("TOP wants two numbers");
                }
                // More lines than any message has are all of them.
                Ok(Command::Top(number(message)?, lines.parse().unwrap_or(u64::MAX)))
            }
            _ => Err("unknown command"),
        }
    }
}

/// Characters that names and passwords may not have. RFC 6856 §2.2, RFC 4013 §2.3: control
/// characters, private use, those that are none, tags, and what changes how others are shown.
fn prohibited(c: char) -> bool {
    c.is_control()
        || matches!(u32::from(c),
            0x340 | 0x341 | 0x6DD | 0x70F | 0x180E | 0x200C..=0x200F | 0x2028..=0x202E
            | 0x2060..=0x2063 | 0x206A..=0x206F | 0x2FF0..=0x2FFB | 0xE000..=0xF8FF
            | 0xFDD0..=0xFDEF | 0xFEFF | 0xFFF9..=0xFFFD | 0x1D173..=0x1D17A
            | 0xE0001 | 0xE0020..=0xE007F | 0xF0000..=0x10FFFF)
        || u32::from(c) & 0xFFFE == 0xFFFE
}

fn alone(args: &str, command: Command) -> Result<Command, &'static str> {
    if args.is_empty() { Ok(command) } else { Err("no argument expected") }
}

fn number(text: &str) -> Result<u32, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.filter(|n| *n > 0).ok_or("a message number is expected")
}

fn maybe_number(text: &str) -> Result<Option<u32>, &'static str> {
    if text.is_empty() { Ok(None) } else { number(text).map(Some) }
}

fn auth(args: &str) -> Result<Command, &'static str> {
    let mut words = args.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    let Some(mechanism) = words.next() else { return Ok(Command::Auth(None)) };
    let initial = words.next();
    if words.next().is_some() {
        return Err("too many arguments");
    }
    Ok(Command::Auth(Some((mechanism, initial))))
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn commands_parse() {
        let parse = |line: &str| Command::parse(line.as_bytes());
        assert_eq!(parse("pass  a b "), Ok(Command::Pass(" a b ".to_owned())));
        assert_eq!(parse("TOP 1 10"), Ok(Command::Top(1, 10)));
        assert_eq!(parse("TOP 1 99999999999999999999"), Ok(Command::Top(1, u64::MAX)));
        assert_eq!(parse("LIST"), Ok(Command::List(None)));
        assert_eq!(parse("PASS \u{7}"), Err("[AUTH] not allowed in names and passwords"));
        assert_eq!(Command::parse(b"pass \xff"), Err("[AUTH] not UTF-8"));
        assert_eq!(Command::parse(b"USER \xff"), Err("not UTF-8"));
        for bad in [
            "RETR",
            "RETR 0",
            "RETR x",
            "RETR -1",
            "RETR 99999999999",
            "TOP 1",
            "TOP 1 +5",
            "STAT 1",
            "XYZ",
            "USER",
            "USER a\u{e000}",
            "PASS a\u{202e}",
            "UTF8 x",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
