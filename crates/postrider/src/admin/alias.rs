//! `postrider alias`: addresses that lead to others. One that leads to nobody any more is marked.

use super::{Failure, Outcome, Request, Response, address, done, trouble};
use directory::Directory;
use mail::Address;
use serde_json::{Value, json};
use store::{AliasRow, Store};

/// Carries a command out.
pub(super) async fn execute(store: &Store, directory: &Directory, request: Request) -> Outcome {
    match request {
        Request::AliasAdd { address: text, targets } => {
            let targets = targets.iter().map(|t| address(t)).collect::<Result<Vec<_>, _>>()?;
            let row = AliasRow { address: address(&text)?, targets };
            store.alias_add(row.clone()).await.map_err(trouble)?;
            let lost = mark(&lost(directory, &row.address).await);
            done(format!("alias {} is ready{lost}", row.address))
        }
        Request::AliasRemove { address: text } => {
            let address = address(&text)?;
            store.alias_remove(address.clone()).await.map_err(trouble)?;
            done(format!("alias {address} is gone"))
        }
        _ => list(store, directory).await,
    }
}

async fn list(store: &Store, directory: &Directory) -> Outcome {
    let (mut values, mut lines): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for row in store.aliases().map_err(trouble)? {
        let targets: Vec<String> = row.targets.iter().map(Address::to_string).collect();
        let lost = lost(directory, &row.address).await;
        lines.push(format!("{} -> {}{}", row.address, targets.join(", "), mark(&lost)));
        let mut value = json!({ "address": row.address.to_string(), "targets": targets });
        match lost {
            Ok(lost) => value["lost"] = lost.into(),
            Err(why) => value["trouble"] = why.into(),
        }
        values.push(value);
    }
    Ok(Response { value: values.into(), text: lines.join("\n") })
}

/// Addresses here that an alias leads to, and that nobody has; or why that cannot be told.
async fn lost(directory: &Directory, alias: &Address) -> Result<Vec<String>, String> {
    let expansion = directory.expand(alias).await.map_err(|error| error.to_string())?;
    Ok(expansion.lost.iter().map(Address::to_string).collect())
}

fn mark(lost: &Result<Vec<String>, String>) -> String {
    match lost.as_deref() {
        Ok([]) => String::new(),
        Ok(some) => format!("  (nobody has {})", some.join(", ")),
        Err(why) => format!("  ({why})"),
    }
}

/// Says which aliases lead to an address that somebody had until now.
pub(super) async fn leads_to_lost(
    store: &Store,
    directory: &Directory,
    gone: &Address,
) -> Result<String, Failure> {
    let gone = gone.to_string();
    let mut still = Vec::new();
    for row in store.aliases().map_err(trouble)? {
        if lost(directory, &row.address).await.is_ok_and(|lost| lost.contains(&gone)) {
            still.push(row.address.to_string());
        }
    }
    Ok(match still.as_slice() {
        [] => String::new(),
        some => format!("\nstill led to by: {}", some.join(", ")),
    })
}
