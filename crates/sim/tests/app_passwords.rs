//! App passwords and the password of an account change without each other (security.md AU-5).

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use directory::secret::Secret;
use directory::{Authenticated, Credentials, Scope, Use};
use sim::house::{House, Plan, address};
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
