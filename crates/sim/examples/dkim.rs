//! Verifies and signs for other programs' tests, by JSON lines: `verify` (a message in base64) with
//! `keys` (TXT records by name) is answered by `results`; `sign` by `message` and `keys`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mail::Domain;
use policy::dkim::{Signer, SigningKey, Verifier, new_ed25519, new_rsa};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::BufRead;

fn octets(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

fn verify(message: &[u8], keys: &Value) -> Value {
    let end =
        message.windows(4).position(|four| four == b"\r\n\r\n").map_or(message.len(), |n| n + 2);
    let (head, body) = message.split_at(end);
    let mut verifier = Verifier::new(head, 0);
    // Pieces of odd sizes.
    for piece in body.strip_prefix(b"\r\n").unwrap_or(body).chunks(7) {
        verifier.feed(piece);
    }
    let mut known = HashMap::new();
    for (name, text) in keys.as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default().as_bytes().to_vec();
        known.insert(name.clone(), Ok(vec![text]));
    }
    let found = verifier.finish(&known);
    let shown =
        |one: &policy::dkim::Verified| format!("{} {}", one.result, one.why).trim().to_owned();
    json!({ "results": found.iter().map(shown).collect::<Vec<_>>() })
}

fn sign(message: &[u8], keys: &[SigningKey]) -> Value {
    let mut signer = Signer::default();
    message.chunks(11).for_each(|piece| signer.feed(piece));
    let signed = [signer.finish(keys, 1_700_000_000).as_bytes(), message].concat();
    let records: HashMap<String, String> = keys.iter().map(|k| (k.name(), k.record())).collect();
    json!({ "message": STANDARD.encode(signed), "keys": records })
}

fn main() {
    let Ok(domain) = Domain::parse("signer.test") else { return };
    let made = [("r", new_rsa()), ("e", new_ed25519())];
    let keys: Vec<SigningKey> = made
        .into_iter()
        .filter_map(|(selector, secret)| SigningKey::new(&domain, selector, &secret?))
        .collect();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
        let answer = match line.get("verify") {
            Some(message) => verify(&octets(message), &line["keys"]),
            None => sign(&octets(&line["sign"]), &keys),
        };
        println!("{answer}");
    }
}
