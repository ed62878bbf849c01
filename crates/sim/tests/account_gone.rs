//! What an account that is removed leaves behind: nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use mail::{Annotation, MailboxName, Rights, Scope, Uid};
use sim::house::{House, Plan, address};
use sim::world::SimWorld;
use store::{Annotate, Holder, Store};

fn rows(store: &Store, of: Holder) -> Vec<String> {
    let rows = store.look(|txn| txn.properties(of)).unwrap();
    rows.into_iter().map(|(name, _)| name).collect()
}

#[tokio::test(start_paused = true)]
async fn an_account_that_goes_leaves_nothing_in_others_mailboxes() {
    let _still = sim::client::stand_still();
    let house = House::build(Plan::default(), SimWorld::new(5)).await;
    let store = &house.shared.store;
    let mut ids = Vec::new();
    for name in ["alice", "bob", "carol"] {
        house.add_account(name).await;
        ids.push(store.lookup(&address(name)).unwrap().account.unwrap().id);
    }
    house.add_message("bob", "INBOX").await;
    let inbox = store.mailbox(ids[1], &MailboxName::inbox()).unwrap().unwrap().id;
    for (who, name) in [(ids[0], "alice"), (ids[2], "carol")] {
        for sign in ["", "-"] {
            let key = format!("{sign}{name}@example.org");
            store.set_access(inbox, key, |_| Rights::READ).await.unwrap();
        }
        let value = Some(b"x".to_vec());
        let change = vec![("/private/comment".to_owned(), value.clone())];
        assert!(store.annotate(Holder::Mailbox(inbox), who, change).await.unwrap());
        let annotations =
            vec![Annotation { entry: "/comment".to_owned(), scope: Scope::Private, value }];
        let uids = vec![Uid::FIRST];
        let wanted = Annotate { uids, who, annotations, unchanged_since: None };
        store.annotate_messages(inbox, wanted).await.unwrap();
    }
    let holders = [Holder::Mailbox(inbox), Holder::Notes(inbox), Holder::Access(inbox)];
    assert_eq!(holders.map(|of| rows(store, of).len()), [2, 2, 4]);
    store.account_remove(address("alice")).await.unwrap();
    assert_eq!(holders.map(|of| rows(store, of).len()), [1, 1, 2]);
    assert!(rows(store, Holder::Access(inbox)).iter().all(|name| name.contains("carol")));
    assert_eq!(rows(store, Holder::Mailbox(inbox)), [format!("{}:/private/comment", ids[2])]);
}
