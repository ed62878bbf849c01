//! A client that logs in by SASL, with SCRAM as it computes it. RFC 5802 §3.

use crate::client::Client;
use crate::house::House;
use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use server::listen::Service;
use std::num::NonZeroU32;

/// A connection that is ready for AUTH.
pub async fn ready(house: &House, service: Service) -> Client {
    let mut client = Client::connect(house, service, [192, 0, 2, 1]).await;
    client.reply().await;
    if matches!(service, Service::Submission | Service::Submissions) {
        client.ask("EHLO client.example").await;
    }
    client
}

/// The command that begins it.
pub fn auth(service: Service, mechanism: &str) -> String {
    match service {
        Service::Imap | Service::Imaps => format!("a AUTHENTICATE {mechanism}"),
        _ => format!("AUTH {mechanism}"),
    }
}

/// The client is in.
pub fn is_success(reply: &str) -> bool {
    ["235 2.7.0", "a OK", "+OK "].iter().any(|ok| reply.starts_with(ok))
}

/// As a wrong password is refused.
pub fn is_refusal(reply: &str) -> bool {
    ["535 5.7.8", "a NO [AUTHENTICATIONFAILED]", "-ERR [AUTH]"]
        .iter()
        .any(|no| reply.starts_with(no))
}

/// The server asks something.
pub fn is_challenge(reply: &str) -> bool {
    reply.starts_with("334 ") || reply.starts_with("+ ")
}

fn challenge(reply: &str) -> String {
    assert!(is_challenge(reply), "{reply}");
    let octets = STANDARD.decode(reply.split_once(' ').unwrap().1).unwrap();
    String::from_utf8(octets).unwrap()
}

fn sha256_mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref().to_vec()
}

/// What a SCRAM client says and does.
pub struct Scram<'a> {
    pub user: &'a str,
    pub password: &'a str,
    pub header: &'a str,
    pub binding: Vec<u8>,
}

impl Scram<'_> {
    /// Plays the exchange; returns the salt that was given and the last reply.
    pub async fn login(
        &self,
        client: &mut Client,
        service: Service,
        mechanism: &str,
    ) -> (String, String) {
        let reply = client.ask(&auth(service, mechanism)).await;
        if !is_challenge(&reply) {
            return (String::new(), reply);
        }
        let bare = format!("n={},r=clientnonce", self.user);
        let first = STANDARD.encode(format!("{}{bare}", self.header));
        let reply = client.ask(&first).await;
        if !is_challenge(&reply) {
            return (String::new(), reply);
        }
        let server_first = challenge(&reply);
        let mut parts = server_first.split(',').map(|part| &part[2..]);
        let nonce = parts.next().unwrap();
        let salt = parts.next().unwrap().to_owned();
        let rounds: NonZeroU32 = parts.next().unwrap().parse().unwrap();
        assert!(nonce.starts_with("clientnonce") && nonce.len() > 20 && rounds.get() >= 4096);
        let mut salted = [0; 32];
        let salt_octets = STANDARD.decode(&salt).unwrap();
        let password = self.password.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &salt_octets, password, &mut salted);
        let client_key = sha256_mac(&salted, b"Client Key");
        let stored = digest::digest(&digest::SHA256, &client_key);
        let bound = [self.header.as_bytes(), &self.binding].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        let signed = format!("{bare},{server_first},{without_proof}");
        let signature = sha256_mac(stored.as_ref(), signed.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        let last = format!("{without_proof},p={}", STANDARD.encode(proof));
        let reply = client.ask(&STANDARD.encode(last)).await;
        if !is_challenge(&reply) {
            return (salt, reply);
        }
        let server = sha256_mac(&sha256_mac(&salted, b"Server Key"), signed.as_bytes());
        assert_eq!(challenge(&reply), format!("v={}", STANDARD.encode(server)));
        (salt, client.ask("").await)
    }
}
