//! App passwords and the password of an account change without each other (security.md AU-5).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use directory::secret::Secret;
use directory::{Authenticated, Credentials, Scope, Use};
use server::listen::Service;
use sim::house::{House, Plan, address};
use sim::logins::{Scram, is_success, ready};
use sim::world::SimWorld;
use std::time::Duration;

#[tokio::test]
async fn another_password_leaves_app_passwords_and_their_sessions_alone() {
    let house = House::build(Plan::default(), SimWorld::new(7)).await;
    house.add_account("alice").await;
    let (directory, who) = (&house.shared.directory, address("alice"));
    let phone = directory.app_password_add(&who, "phone", Scope::Both).await.unwrap();
    let login = async |password: &str| -> Authenticated {
        let credentials = Credentials { user: "alice@example.org", password, wanted: Use::Read };
        directory.authenticate(credentials).await.unwrap()
    };
    let (by_phone, by_password) = (login(&phone).await, login("secret").await);
    let mut stays = directory.lease(&by_phone).unwrap().unwrap();
    let mut ends = directory.lease(&by_password).unwrap().unwrap();
    let new = directory.hash("other".to_owned()).await.unwrap();
    directory.set_password(&who, &new).await.unwrap();
    ends.revoked().await;
    let still = tokio::time::timeout(Duration::ZERO, stays.revoked()).await;
    assert!(still.is_err(), "another password has ended a session of the phone");
    assert_eq!(login(&phone).await.account, login("other").await.account);
}

/// Nobody undoes what another does at the same time.
#[tokio::test]
async fn administrators_at_once_undo_nothing_of_each_other() {
    let house = House::build(Plan::default(), SimWorld::new(8)).await;
    house.add_account("alice").await;
    let (directory, who) = (&house.shared.directory, address("alice"));
    let new = directory.hash("other".to_owned()).await.unwrap();
    let (first, second, password) = tokio::join!(
        directory.app_password_add(&who, "phone", Scope::Both),
        directory.app_password_add(&who, "tablet", Scope::Send),
        directory.set_password(&who, &new),
    );
    assert!(first.is_ok() && second.is_ok() && password.is_ok());
    let kept = house.shared.store.lookup(&who).unwrap().account.unwrap().secret;
    let kept = Secret::parse(&kept);
    let mut names: Vec<&str> = kept.apps.iter().map(|app| app.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["phone", "tablet"]);
    assert_eq!(kept.password, Secret::parse(&new).password);
}

fn alice(password: &str) -> Scram<'_> {
    Scram { user: "alice@example.org", password, header: "n,,", binding: vec![] }
}

/// A program that chooses SCRAM because it is there does so with an app password too; it is good
/// for its use, outlasts the account's password, and ends when it is taken back.
#[tokio::test(start_paused = true)]
async fn scram_knows_app_passwords() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(9)).await;
    house.add_account("alice").await;
    let (directory, who) = (&house.shared.directory, address("alice"));
    let phone = directory.app_password_add(&who, "phone", Scope::Both).await.unwrap();
    let reader = directory.app_password_add(&who, "reader", Scope::Read).await.unwrap();
    let says = async |service, password: &str| {
        let mut client = ready(&house, service).await;
        alice(password).login(&mut client, service, "SCRAM-SHA-256").await
    };
    for service in [Service::Submission, Service::Imap, Service::Pop3] {
        for (password, right) in [
            ("secret", true),
            (phone.as_str(), true),
            (&reader, service != Service::Submission),
            ("abcde-abcde-abcde-abcde", false),
        ] {
            let (_, reply) = says(service, password).await;
            assert_eq!(is_success(&reply), right, "{service:?} {password}: {reply}");
        }
    }
    // Another password, as the administrator sets it.
    let new = directory.hash_for(&who, "other".to_owned()).await.unwrap();
    directory.set_password(&who, &new).await.unwrap();
    for (password, right) in [("secret", false), ("other", true), (&phone, true)] {
        let (_, reply) = says(Service::Pop3, password).await;
        assert_eq!(is_success(&reply), right, "{password}: {reply}");
    }
    let used = directory.app_passwords(&who).unwrap();
    assert!(used.iter().all(|app| app.used.is_some()), "nobody knows that they were used");
    // What it opened ends with it.
    let mut client = ready(&house, Service::Imap).await;
    let by_phone = alice(&phone);
    let (_, reply) = by_phone.login(&mut client, Service::Imap, "SCRAM-SHA-256").await;
    assert!(is_success(&reply), "{reply}");
    assert!(directory.app_password_remove(&who, "phone").await.unwrap());
    assert!(client.reply().await.starts_with("* BYE [EXPIRED]"));
    let (_, reply) = says(Service::Pop3, &phone).await;
    assert!(!is_success(&reply), "{reply}");
    // An account whose password came as a hash from elsewhere.
    directory.set_password(&who, "{PLAIN-MD5}5ebe2294ecd0e0f08eab7690d2a6ee69").await.unwrap();
    directory.app_password_remove(&who, "reader").await.unwrap();
    let tablet = directory.app_password_add(&who, "tablet", Scope::Both).await.unwrap();
    for (password, right) in [("secret", false), (tablet.as_str(), true)] {
        let (_, reply) = says(Service::Pop3, password).await;
        assert_eq!(is_success(&reply), right, "{password}: {reply}");
    }
    // Its first login makes a hash of our own, with the salt of the app passwords.
    let credentials = Credentials { user: "alice", password: "secret", wanted: Use::Read };
    directory.authenticate(credentials).await.unwrap();
    for password in ["secret", &tablet] {
        let (_, reply) = says(Service::Pop3, password).await;
        assert!(is_success(&reply), "{password}: {reply}");
    }
}
