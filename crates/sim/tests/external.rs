//! People in a SQL database of somebody else, or proven by a program: logins, what is
//! remembered of them, and that sessions end when they are taken out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::external::program::{Program, ProgramPlan};
use directory::external::sql::{Database, Sql, SqlPlan};
use directory::external::{External, Source};
use directory::password::{Cost, hash};
use rusqlite::Connection;
use server::listen::Service;
use sim::client::Client;
use sim::house::{House, Plan};
use sim::world::SimWorld;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::program::{PROGRAM_WAIT, ProgramClient, helper};
use sys::sqlite::SqliteClient;

struct People(PathBuf);

impl Drop for People {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl People {
    fn new(name: &str) -> People {
        let path = std::env::temp_dir().join(format!("postrider-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let people = People(path);
        let table = "CREATE TABLE people(address TEXT, hash TEXT)";
        people.open().execute(table, []).unwrap();
        people
    }

    fn open(&self) -> Connection {
        Connection::open(&self.0).unwrap()
    }

    fn put(&self, address: &str, password: &str) {
        let hash = hash(password, &[7; 16], Cost { memory_kib: 8, passes: 1 }).unwrap();
        self.remove(address);
        self.open().execute("INSERT INTO people VALUES (?1, ?2)", [address, &hash]).unwrap();
    }

    fn remove(&self, address: &str) {
        self.open().execute("DELETE FROM people WHERE address = ?1", [address]).unwrap();
    }
}

async fn house(path: &Path, kept: Duration) -> House {
    let world = SimWorld::new(5);
    let plan = SqlPlan {
        login_query: "SELECT address, hash FROM people WHERE address = $1".to_owned(),
        address_query: "SELECT address FROM people WHERE address = $2 || '@' || $3".to_owned(),
    };
    let source = Source::Sql(Sql::new(Database::Sqlite(SqliteClient::new(path)), plan).unwrap());
    let external = External::new(source, world.as_seen().clock, kept);
    let directory = directory::Settings { external: Some(external), ..Default::default() };
    House::build(Plan { directory, ..Plan::default() }, world).await
}

async fn login(house: &House, password: &str) -> (Client, String) {
    let mut client = Client::connect(house, Service::Pop3, [198, 51, 100, 7]).await;
    client.reply().await;
    client.ask("USER ann@example.org").await;
    let reply = client.ask(&format!("PASS {password}")).await;
    (client, reply)
}

#[tokio::test(start_paused = true)]
async fn people_in_sqlite_log_in_and_get_mail() {
    let _still = sim::client::stand_still();
    let people = People::new("sqlite");
    people.put("ann@example.org", "annpw");
    let house = house(&people.0, Duration::ZERO).await;
    assert!(login(&house, "wrong").await.1.starts_with("-ERR [AUTH]"));
    assert!(login(&house, "annpw").await.1.starts_with("+OK"));
    let mut smtp = Client::connect(&house, Service::Smtp, [198, 51, 100, 8]).await;
    smtp.reply().await;
    smtp.ask("HELO x").await;
    smtp.ask("MAIL FROM:<>").await;
    assert!(smtp.ask("RCPT TO:<ann@example.org>").await.starts_with("250"));
    assert!(smtp.ask("RCPT TO:<eve@example.org>").await.starts_with("550"));
    std::fs::remove_file(&people.0).unwrap();
    assert!(login(&house, "annpw").await.1.starts_with("-ERR [SYS/TEMP]"), "down, not wrong");
}

/// When the directory is down nobody hears that somebody is not there, or that a password is wrong:
/// it is later that they may know; and what is known here goes on.
#[tokio::test(start_paused = true)]
async fn s_13_a_directory_that_is_down_is_no_unknown_user() {
    let _still = sim::client::stand_still();
    let people = People::new("down");
    people.put("ann@example.org", "annpw");
    let house = house(&people.0, Duration::ZERO).await;
    house.add_account("alice").await;
    let told = async |service, hello: &str, lines: &[&str]| {
        let mut client = Client::connect(&house, service, [198, 51, 100, 8]).await;
        client.reply().await;
        client.ask(hello).await;
        let mut last = String::new();
        for line in lines {
            last = client.ask(line).await;
        }
        last
    };
    let plain = STANDARD.encode("\0ann@example.org\0annpw");
    let (smtp, pop3, imap) =
        (format!("AUTH PLAIN {plain}"), "NOOP", format!("b AUTHENTICATE PLAIN {plain}"));
    let rcpt = |to: &'static str| ["MAIL FROM:<f@example.net>", to];
    for (down, eve, password, in_imap, in_pop3) in [
        (false, "550 5.1.1 ", "235 ", "b OK ", "+OK"),
        (true, "451 4.3.", "454 4.7.0 ", "b NO [UNAVAILABLE] ", "-ERR [SYS/TEMP] "),
    ] {
        if down {
            std::fs::remove_file(&people.0).unwrap();
            // What it answered holds for a minute.
            house.advance(Duration::from_secs(61)).await;
        }
        for service in [Service::Smtp, Service::Lmtp] {
            let hello = if service == Service::Lmtp { "LHLO x" } else { "EHLO x" };
            for (to, expected) in [
                // Who has been found before is known.
                ("RCPT TO:<ann@example.org>", "250 "),
                ("RCPT TO:<eve@example.org>", eve),
                ("RCPT TO:<alice@example.org>", "250 "),
            ] {
                let said = told(service, hello, &rcpt(to)).await;
                assert!(said.starts_with(expected), "{service:?} {to}: {said}");
            }
        }
        let said = told(Service::Submission, "EHLO x", &[&smtp]).await;
        assert!(said.starts_with(password), "{said}");
        for line in [&imap, "b LOGIN ann@example.org annpw"] {
            let said = told(Service::Imap, "a NOOP", &[line]).await;
            assert!(said.starts_with(in_imap), "{said}");
        }
        for lines in [&[smtp.as_str()][..], &["USER ann@example.org", "PASS annpw"]] {
            let said = told(Service::Pop3, pop3, lines).await;
            assert!(said.starts_with(in_pop3), "{said}");
        }
        let said = told(Service::Pop3, pop3, &["USER alice", "PASS secret"]).await;
        assert!(said.starts_with("+OK"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proven_login_is_remembered_for_a_while_and_a_refused_one_is_not() {
    let _still = sim::client::stand_still();
    let people = People::new("kept");
    people.put("ann@example.org", "annpw");
    let house = house(&people.0, Duration::from_secs(60)).await;
    assert!(login(&house, "annpw").await.1.starts_with("+OK"));
    people.put("ann@example.org", "new");
    assert!(login(&house, "annpw").await.1.starts_with("+OK"), "nobody was asked");
    // Whoever knows the new password ends the old one's time.
    assert!(login(&house, "new").await.1.starts_with("+OK"));
    assert!(login(&house, "annpw").await.1.starts_with("-ERR [AUTH]"));
    people.put("ann@example.org", "annpw");
    assert!(login(&house, "annpw").await.1.starts_with("+OK"), "a refusal is not remembered");
    people.put("ann@example.org", "third");
    house.world.clock.advance(Duration::from_secs(61)).await;
    assert!(login(&house, "annpw").await.1.starts_with("-ERR [AUTH]"));
}

#[tokio::test(start_paused = true)]
async fn sessions_end_when_somebody_is_taken_out() {
    let _still = sim::client::stand_still();
    let people = People::new("gone");
    people.put("ann@example.org", "annpw");
    let house = house(&people.0, Duration::from_secs(60)).await;
    let (mut client, _) = login(&house, "annpw").await;
    house.shared.directory.end_sessions_of_gone().await;
    assert!(client.ask("NOOP").await.starts_with("+OK"), "she is there");
    people.remove("ann@example.org");
    house.shared.directory.end_sessions_of_gone().await;
    assert!(client.reply().await.starts_with("-ERR [AUTH]"));
    assert!(login(&house, "annpw").await.1.starts_with("-ERR [AUTH]"), "nor is it remembered");
    people.put("ann@example.org", "annpw");
    assert!(login(&house, "annpw").await.1.starts_with("+OK"), "she is back");
}

/// `ann` and `bob` have the password `right`; `later` is when nobody can say.
const PROVES: &str = "words=$(tr '\\0' ' ' <&3)
    case $words in
        'ann right Y0 '|'bob right Y0 ') exit 0;;
        *' later Y0 ') exit 111;;
    esac
    exit 1";

async fn house_with_a_program() -> House {
    let world = SimWorld::new(6);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let command = ["/bin/sh", "-c", PROVES].map(str::to_owned).to_vec();
    tokio::spawn(helper::help(theirs, command, PROGRAM_WAIT));
    let domain = mail::Domain::parse("example.org").ok();
    let plan = ProgramPlan { name: "{local}".to_owned(), domain };
    let program = Program::new(ProgramClient::new(ours).unwrap(), plan).unwrap();
    let kept = Duration::from_secs(60);
    let external = External::new(Source::Program(program), world.as_seen().clock, kept);
    let directory = directory::Settings { external: Some(external), ..Default::default() };
    House::build(Plan { directory, ..Plan::default() }, world).await
}

async fn login_as(house: &House, name: &str, password: &str) -> String {
    let mut client = Client::connect(house, Service::Pop3, [198, 51, 100, 7]).await;
    client.reply().await;
    client.ask(&format!("USER {name}")).await;
    client.ask(&format!("PASS {password}")).await
}

/// Not a word of RFCs: what docs/logins.md says of `[program]`.
#[tokio::test(start_paused = true)]
async fn people_that_a_program_proves() {
    let _still = sim::client::stand_still();
    let house = house_with_a_program().await;
    let rcpt = async |address: &str| {
        let mut smtp = Client::connect(&house, Service::Smtp, [198, 51, 100, 8]).await;
        smtp.reply().await;
        smtp.ask("HELO x").await;
        smtp.ask("MAIL FROM:<>").await;
        smtp.ask(&format!("RCPT TO:<{address}>")).await
    };
    assert!(rcpt("ann@example.org").await.starts_with("550"), "nobody has heard of her");
    assert!(login_as(&house, "ann@example.org", "wrong").await.starts_with("-ERR [AUTH]"));
    assert!(login_as(&house, "ann@example.org", "later").await.starts_with("-ERR [SYS/TEMP]"));
    assert!(login_as(&house, "ANN@example.org", "right").await.starts_with("+OK"));
    assert!(rcpt("ann@example.org").await.starts_with("250"), "her login made the account");
    assert!(rcpt("ann+tag@example.org").await.starts_with("250"));
    // Remembered: a program that says 'not now' was not asked, and a wrong password always is.
    assert!(login_as(&house, "ann@example.org", "right").await.starts_with("+OK"));
    assert!(login_as(&house, "ann@example.org", "wrong").await.starts_with("-ERR [AUTH]"));
    // `{local}` is the local part at one domain only.
    assert!(login_as(&house, "ann@else.example", "right").await.starts_with("-ERR [AUTH]"));
    // An account that was made before its first login.
    let new = store::NewAccount {
        address: "bob@example.org".parse().unwrap(),
        secret: directory::external::MARK.to_owned(),
    };
    house.shared.store.account_add(new).await.unwrap();
    assert!(rcpt("bob@example.org").await.starts_with("250"));
    assert!(login_as(&house, "bob@example.org", "right").await.starts_with("+OK"));
    house.shared.directory.end_sessions_of_gone().await;
    assert!(login_as(&house, "bob@example.org", "right").await.starts_with("+OK"));
}
