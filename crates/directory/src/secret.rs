//! What an account's row holds to prove it: one text of lines, made and read only here.
//!
//! The first line is the password's hash (a PHC string); `scram HASH ITERATIONS SALT STORED SERVER`
//! are its SCRAM verifiers; `app NAME USE SALT HASH [TIME ADDRESS]` are app passwords with their
//! last use, `appscram NAME` and the rest of a `scram` line their verifiers; `was DIGEST` tells
//! which imported hash the first line has replaced. A text of one line, as an import gives it, is
//! fine.

use crate::limits::{APP_PASSWORDS_MAX, SCRAM_ITERATIONS};
use crate::scram::Verifier;
use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::sasl::scram::Hash;
use std::fmt;
use std::net::IpAddr;

/// What somebody logs in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To send mail.
    Send,
    /// To read mail.
    Read,
}

/// What an app password is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Sending only.
    Send,
    /// Reading only.
    Read,
    /// Both.
    Both,
}

impl Scope {
    /// `send`, `read`, `both`.
    pub fn parse(text: &str) -> Option<Scope> {
        match text {
            "send" => Some(Scope::Send),
            "read" => Some(Scope::Read),
            "both" => Some(Scope::Both),
            _ => None,
        }
    }

    /// It covers this use.
    pub fn covers(self, wanted: Use) -> bool {
        matches!(
            (self, wanted),
            (Scope::Both, _) | (Scope::Send, Use::Send) | (Scope::Read, Use::Read)
        )
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Send => "send",
            Scope::Read => "read",
            Scope::Both => "both",
        })
    }
}

/// What a login was proven by, so that it ends when that is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProvenBy {
    /// The password: a digest of what is stored of it.
    Password(Vec<u8>),
    /// An app password, by its name and a digest.
    App(String, Vec<u8>),
    /// Somebody else's word: a token, a certificate, another directory.
    Elsewhere,
}

/// When and from where an app password was used last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// Seconds since 1970.
    pub at: i64,
    /// The client's address.
    pub from: IpAddr,
}

/// An app password: made by us, so that it is long enough for a fast hash.
#[derive(Clone, PartialEq, Eq)]
pub struct AppPassword {
    /// What its owner calls it.
    pub name: String,
    /// What it is good for.
    pub scope: Scope,
    /// When it was used last, as far as that is written down.
    pub used: Option<LastUse>,
    salt: Vec<u8>,
    hash: Vec<u8>,
    scram: Vec<(Hash, Verifier)>,
}

/// All that an account can be proven by.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// The password's hash.
    pub password: String,
    scram: Vec<(Hash, Verifier)>,
    /// App passwords.
    pub apps: Vec<AppPassword>,
    /// Digest of the imported hash that the present one has replaced: the same password.
    was: Option<Vec<u8>>,
}

fn name_of(hash: Hash) -> &'static str {
    match hash {
        Hash::Sha1 => "sha1",
        Hash::Sha256 => "sha256",
    }
}

fn digest_of(salt: &[u8], password: &str) -> Vec<u8> {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(salt);
    context.update(password.as_bytes());
    context.finish().as_ref().to_vec()
}

impl AppPassword {
    /// What a login by it is proven by.
    pub fn proof(&self) -> ProvenBy {
        ProvenBy::App(self.name.clone(), self.hash.clone())
    }
}

impl Secret {
    /// Reads the stored text. Lines that are not understood are passed over.
    pub fn parse(text: &str) -> Secret {
        let mut lines = text.lines();
        let password = lines.next().unwrap_or_default().to_owned();
        let mut secret = Secret { password, ..Secret::default() };
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["scram", hash, rest @ ..] => secret.scram.extend(verifier(hash, rest)),
                ["app", rest @ ..] => secret.apps.extend(app(rest)),
                ["appscram", name, hash, rest @ ..] => {
                    if let Some(app) = secret.apps.iter_mut().find(|app| app.name == *name) {
                        app.scram.extend(verifier(hash, rest));
                    }
                }
                ["was", digest] => secret.was = STANDARD.decode(digest).ok(),
                _ => {}
            }
        }
        secret
    }

    /// A new password: hash, and verifiers salted with `salt`. Slow.
    pub fn set_password(&mut self, hash: String, password: &str, salt: &[u8]) {
        self.password = hash;
        self.scram = verifiers(password, salt);
    }

    /// The salt that verifiers of this account have. A client is told it before it says which
    /// password it has, so they all have one.
    pub fn scram_salt(&self) -> Option<&[u8]> {
        let of_apps = self.apps.iter().flat_map(|app| &app.scram);
        of_apps.chain(&self.scram).next().map(|(_, verifier)| verifier.salt.as_slice())
    }

    /// Takes over the hash of `other`, which is of the same password; app passwords stay, and so
    /// do logins.
    pub fn adopt(&mut self, other: Secret) {
        self.was = Some(digest_of(b"was", &self.password));
        (self.password, self.scram) = (other.password, other.scram);
    }

    /// What a login by the password is proven by.
    pub fn proof(&self) -> ProvenBy {
        ProvenBy::Password(digest_of(b"was", &self.password))
    }

    /// A login that was proven by this still holds.
    pub fn holds(&self, by: &ProvenBy) -> bool {
        match by {
            ProvenBy::Password(digest) => {
                digest_of(b"was", &self.password) == *digest || self.was.as_ref() == Some(digest)
            }
            ProvenBy::App(name, hash) => {
                self.apps.iter().any(|app| app.name == *name && app.hash == *hash)
            }
            ProvenBy::Elsewhere => true,
        }
    }

    /// A verifier for a mechanism: of the password, or of an app password where it has none.
    pub fn verifier(&self, hash: Hash) -> Option<&Verifier> {
        let all = self.scram.iter().chain(self.apps.iter().flat_map(|app| &app.scram));
        all.into_iter().find(|(of, _)| *of == hash).map(|(_, verifier)| verifier)
    }

    /// The verifiers that a client may have meant who was told salt and rounds of `asked`, and
    /// whose they are: nobody's are the password's.
    pub fn meant<'a>(
        &'a self,
        hash: Hash,
        asked: &'a Verifier,
    ) -> impl Iterator<Item = (&'a Verifier, Option<&'a AppPassword>)> {
        let own = self.scram.iter().map(|(of, verifier)| (of, verifier, None));
        let of_app = |app: &'a AppPassword| {
            app.scram.iter().map(move |(of, verifier)| (of, verifier, Some(app)))
        };
        let all = own.chain(self.apps.iter().flat_map(of_app));
        let same = move |of: &Hash, verifier: &Verifier| {
            (*of, &verifier.salt, verifier.iterations) == (hash, &asked.salt, asked.iterations)
        };
        all.filter_map(move |(of, verifier, app)| same(of, verifier).then_some((verifier, app)))
    }

    /// The app password that this is.
    pub fn app(&self, password: &str) -> Option<&AppPassword> {
        let same = |app: &&AppPassword| {
            let hash = digest_of(&app.salt, password);
            constant_time::verify_slices_are_equal(&hash, &app.hash).is_ok()
        };
        self.apps.iter().find(same)
    }

    /// Adds an app password with its verifiers; the error says why it cannot be.
    pub fn add_app(
        &mut self,
        name: &str,
        scope: Scope,
        password: &str,
        (salt, scram): (&[u8], Vec<(Hash, Verifier)>),
    ) -> Result<(), String> {
        let fine = !name.is_empty() && name.len() <= 64;
        if !fine || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("a name has 1 to 64 characters and no blanks".to_owned());
        }
        if self.apps.iter().any(|app| app.name == name) {
            return Err(format!("there is an app password '{name}' already"));
        }
        if self.apps.len() >= APP_PASSWORDS_MAX {
            return Err(format!("an account has at most {APP_PASSWORDS_MAX} app passwords"));
        }
        let hash = digest_of(salt, password);
        self.apps.push(AppPassword {
            name: name.to_owned(),
            scope,
            used: None,
            salt: salt.to_vec(),
            hash,
            scram,
        });
        Ok(())
    }

    /// Takes an app password away; whether there was one.
    pub fn remove_app(&mut self, name: &str) -> bool {
        let before = self.apps.len();
        self.apps.retain(|app| app.name != name);
        self.apps.len() < before
    }
}

impl fmt::Display for Secret {
    /// The text to store.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.password)?;
        let b64 = |octets: &[u8]| STANDARD.encode(octets);
        let words = |hash: Hash, v: &Verifier| {
            let (salt, stored, server) = (b64(&v.salt), b64(&v.stored_key), b64(&v.server_key));
            format!("{} {} {salt} {stored} {server}", name_of(hash), v.iterations)
        };
        for (hash, verifier) in &self.scram {
            write!(f, "\nscram {}", words(*hash, verifier))?;
        }
        for app in &self.apps {
            let (salt, hash) = (b64(&app.salt), b64(&app.hash));
            write!(f, "\napp {} {} {salt} {hash}", app.name, app.scope)?;
            if let Some(LastUse { at, from }) = app.used {
                write!(f, " {at} {from}")?;
            }
            for (hash, verifier) in &app.scram {
                write!(f, "\nappscram {} {}", app.name, words(*hash, verifier))?;
            }
        }
        if let Some(was) = &self.was {
            write!(f, "\nwas {}", b64(was))?;
        }
        Ok(())
    }
}

/// Verifiers of a password, one for each mechanism. Slow.
pub(crate) fn verifiers(password: &str, salt: &[u8]) -> Vec<(Hash, Verifier)> {
    let make = |hash| (hash, Verifier::new(hash, password, salt, SCRAM_ITERATIONS));
    [Hash::Sha256, Hash::Sha1].map(make).into()
}

fn verifier(hash: &str, words: &[&str]) -> Option<(Hash, Verifier)> {
    let hash = [Hash::Sha1, Hash::Sha256].into_iter().find(|of| name_of(*of) == hash)?;
    let [iterations, salt, stored_key, server_key] = words else { return None };
    let verifier = Verifier {
        iterations: iterations.parse().ok()?,
        salt: STANDARD.decode(salt).ok()?,
        stored_key: STANDARD.decode(stored_key).ok()?,
        server_key: STANDARD.decode(server_key).ok()?,
    };
    Some((hash, verifier))
}

fn app(words: &[&str]) -> Option<AppPassword> {
    let ([name, scope, salt, hash], used) = words.split_first_chunk()?;
    let used = match used {
        [at, from] => Some(LastUse { at: at.parse().ok()?, from: from.parse().ok()? }),
        _ => None,
    };
    Some(AppPassword {
        name: (*name).to_owned(),
        scope: Scope::parse(scope)?,
        used,
        salt: STANDARD.decode(salt).ok()?,
        hash: STANDARD.decode(hash).ok()?,
        scram: Vec::new(),
    })
}

/// Twenty letters in groups, out of random octets: 94 bits.
pub fn app_password(random: &[u8; 20]) -> String {
    const LETTERS: &[u8; 26] = b"abcdefghijklmnopqrstuvwxyz";
    let letter = |b: &u8| LETTERS.get(usize::from(*b) % 26).copied().unwrap_or(b'a') as char;
    let groups = random.chunks(5).map(|five| five.iter().map(letter).collect::<String>());
    groups.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_back() {
        let mut secret = Secret::parse("$argon2id$x");
        assert_eq!(secret.to_string(), "$argon2id$x");
        secret.set_password("$argon2id$y".to_owned(), "pencil", b"salt");
        assert_eq!(secret.scram_salt(), Some(&b"salt"[..]));
        let verifiers = verifiers("abcde-fghij", b"salt");
        secret.add_app("phone", Scope::Read, "abcde-fghij", (b"pepper", verifiers)).unwrap();
        assert!(secret.add_app("phone", Scope::Both, "x", (b"y", vec![])).is_err());
        assert!(secret.add_app("a b", Scope::Both, "x", (b"y", vec![])).is_err());
        let again = Secret::parse(&secret.to_string());
        assert!(again == secret && again.verifier(Hash::Sha1).is_some());
        let app = again.app("abcde-fghij").unwrap();
        assert!(app.scope.covers(Use::Read) && !app.scope.covers(Use::Send));
        assert!(again.app("abcde-fghi").is_none());
        let asked = again.verifier(Hash::Sha256).unwrap();
        let meant: Vec<_> = again.meant(Hash::Sha256, asked).map(|(_, app)| app).collect();
        assert!(meant.len() == 2 && meant[0].is_none() && meant[1] == Some(app));
        let elsewhere = Verifier { salt: b"other".to_vec(), ..asked.clone() };
        assert_eq!(again.meant(Hash::Sha256, &elsewhere).count(), 0);
        assert!(secret.remove_app("phone") && !secret.remove_app("phone"));
        let odd = Secret::parse("h\nscram sha512 1 a b c\nscram sha1 x\napp\nwhat");
        assert_eq!(odd.to_string(), "h");
        assert_eq!(app_password(&[7; 20]), "hhhhh-hhhhh-hhhhh-hhhhh");
    }
}
