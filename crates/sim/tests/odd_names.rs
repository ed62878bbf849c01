//! Mailbox names with every octet there is, in every form of IMAP: made or refused, and what was
//! made is listed, selected and deleted by the name that is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use protocol::imap::utf7;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;

async fn login(house: &House) -> Client {
    let mut client = Client::connect(house, Service::Imap, [192, 0, 2, 1]).await;
    assert!(client.line().await.starts_with("* OK"));
    assert!(client.ask("l LOGIN alice secret").await.starts_with("l OK"));
    client
}

/// The untagged lines, and how the command ended.
async fn ask(client: &mut Client, octets: &[u8]) -> (Vec<String>, String) {
    client.send(&[b"t ".as_slice(), octets, b"\r\n"].concat()).await;
    let mut lines = Vec::new();
    loop {
        let line = client.line().await;
        assert!(!line.is_empty(), "{}: the connection ended", octets.escape_ascii());
        if let Some(end) = line.strip_prefix("t ") {
            return (lines, end.split(' ').next().unwrap_or_default().to_owned());
        }
        lines.push(line);
    }
}

#[tokio::test]
async fn every_octet_in_a_name() {
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    house.add_account("alice").await;
    let (mut made, mut refused) = (0, 0);
    for octet in 0..=255u8 {
        // A client that makes too many mistakes is sent away: each octet has a connection.
        let mut client = login(&house).await;
        let name = [b'a', octet, b'z'];
        let literal = [b"{3+}\r\n".as_slice(), &name].concat();
        let quoted = [b"\"".as_slice(), &name, b"\""].concat();
        let escaped = [b"\"a\\".as_slice(), &[octet], b"z\""].concat();
        for form in [literal.as_slice(), &quoted, &escaped, &name] {
            // A line break ends the command wherever it stands; the rest is another one.
            if form != literal.as_slice() && matches!(octet, b'\r' | b'\n') {
                continue;
            }
            let (_, end) = ask(&mut client, &[b"CREATE ", form].concat()).await;
            if end != "OK" {
                assert!(["NO", "BAD"].contains(&end.as_str()), "{octet}: {end}");
                refused += 1;
                continue;
            }
            made += 1;
            let (listed, _) = ask(&mut client, b"LIST \"\" a*").await;
            let rows: Vec<_> = listed.iter().filter(|line| line.starts_with("* LIST")).collect();
            let told = rows.last().and_then(|row| row.rsplit_once("\"/\" ")).map(|(_, name)| name);
            let told = told.unwrap_or_else(|| panic!("{octet}: {listed:?}"));
            let plain = told.trim_matches('"').replace("\\\\", "\\").replace("\\\"", "\"");
            let meant = match octet {
                // It quotes what follows.
                b'\\' if form == quoted.as_slice() => "az".to_owned(),
                _ => String::from_utf8_lossy(&name).into_owned(),
            };
            let meant = utf7::decode(&meant).unwrap();
            assert_eq!(utf7::decode(&plain), Some(meant), "{octet}: {told}");
            let (_, selected) = ask(&mut client, format!("EXAMINE {told}").as_bytes()).await;
            let (_, deleted) = ask(&mut client, format!("DELETE {told}").as_bytes()).await;
            assert_eq!((selected.as_str(), deleted.as_str()), ("OK", "OK"), "{octet}: {told}");
        }
        // A slash made a tree.
        if octet == b'/' {
            ask(&mut client, b"DELETE a").await;
        }
        assert_eq!(ask(&mut client, b"NOOP").await.1, "OK", "{octet}");
    }
    assert!(made > 200 && refused > 400, "{made} made, {refused} refused");
}
