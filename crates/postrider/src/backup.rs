//! `postrider backup` and `postrider restore`: the configuration's folder and the store, to a
//! folder elsewhere and back.
//!
//! Invariant: the backup has a store only when it is whole; a restore touches no store.

use crate::admin::{Failure, exit};
use crate::config::{Config, FILE};
use crate::progress::{megabytes, progress};
use crate::{control, privilege, say, serve};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use store::StoreError;
use store::backup::{Copied, backup};
use store::restore::{Restored, restore};
use sys::disk::{Disk as _, RealDisk};

/// Copies everything of a root folder to the folder `to`.
pub fn back_up(root: &Path, to: &Path, json: bool) -> Result<(), Failure> {
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    serve::has_store(root, &config)?;
    settle(root, &config)?;
    // As they really are: the backup may lie below the root folder.
    let real = |path: &Path| path.canonicalize().map_err(|e| failed(path, &e));
    RealDisk.create_folders(to).map_err(|e| failed(to, &e))?;
    let (root, to) = (&real(root)?, real(to)?);
    let folder = real(&root.join(&config.store.folder))?;
    let without = [control::control_socket(root), folder.clone(), to.clone()];
    copy_folder(root, &to.join("config"), &without).map_err(|e| failed(root, &e))?;
    let copied = backup(&folder, &to.join("store"), &mut progress()).map_err(failure)?;
    if json {
        say(&as_json(&copied).to_string());
    } else {
        say(&format!("{}; {} of it new", amount(&copied), megabytes(copied.new_octets)));
    }
    damaged(&copied)
}

/// Makes a root folder, or the store of one that is there, of the backup in `from`.
pub fn bring_back(root: &Path, from: &Path, json: bool) -> Result<(), Failure> {
    let store = from.join("store");
    if !store.join("meta.db").exists() {
        let text = format!("there is no backup in {}", from.display());
        return Err(Failure { text, code: exit::NO_INPUT });
    }
    if !root.join(FILE).exists() {
        let copied = copy_folder(&from.join("config"), root, &[]);
        copied.map_err(|e| failed(root, &e))?;
    }
    let config = Config::load(root).map_err(|text| Failure { text, code: exit::CONFIG })?;
    let folder = root.join(&config.store.folder);
    let Restored { copied, held } = restore(&store, &folder, &mut progress()).map_err(failure)?;
    privilege::give_away(root, &config)?;
    if json {
        let mut value = as_json(&copied);
        value["held"] = held.into();
        say(&value.to_string());
    } else {
        say(&amount(&copied));
        if held > 0 {
            let see = "see postrider queue list, and queue release ID or queue drop ID";
            say(&format!(
                "{held} messages were in the queue and may have been sent since: they are held; {}",
                control::retyped(root, see)
            ));
        }
    }
    damaged(&copied)
}

/// When no server runs that does it, what the last one left is brought in order.
fn settle(root: &Path, config: &Config) -> Result<(), Failure> {
    match serve::open(root, config, None) {
        Ok((store, _)) => {
            store.close();
            drop(store);
            privilege::give_away(root, config)
        }
        Err(failure) if failure.code == exit::TEMPORARY => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Copies files and folders; neither sockets nor what is named in `without`.
fn copy_folder(from: &Path, to: &Path, without: &[PathBuf]) -> io::Result<()> {
    RealDisk.create_folders(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if without.contains(&path) {
            continue;
        }
        // A link, as certbot makes, stands for the file that it leads to.
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() && !path.is_symlink() => {
                copy_folder(&path, &target, without)?;
            }
            Ok(meta) if meta.is_file() => {
                let mut part = target.clone().into_os_string();
                part.push(".new");
                fs::copy(&path, &part)?;
                File::open(&part)?.sync_all()?;
                fs::rename(&part, &target)?;
            }
            _ => {}
        }
    }
    RealDisk.sync_folder(to)
}

fn amount(copied: &Copied) -> String {
    format!("{} messages, {}", copied.messages, megabytes(copied.octets))
}

fn as_json(copied: &Copied) -> serde_json::Value {
    serde_json::json!({
        "messages": copied.messages,
        "octets": copied.octets,
        "new_octets": copied.new_octets,
        "damaged": copied.damaged,
    })
}

/// A copy that is complete, but not of messages as they were stored.
fn damaged(copied: &Copied) -> Result<(), Failure> {
    if copied.damaged.is_empty() {
        return Ok(());
    }
    let text = format!(
        "the copy is complete, but {} messages are damaged where they come from: {}",
        copied.damaged.len(),
        copied.damaged.join("; ")
    );
    Err(Failure { text, code: exit::DATA })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure { text: format!("{}: {error}", path.display()), code: exit::IO }
}

fn failure(error: StoreError) -> Failure {
    let code = match &error {
        StoreError::Locked(_) => exit::TEMPORARY,
        StoreError::AlreadyExists(_) => exit::CANT_CREATE,
        StoreError::Failed(_) | StoreError::Full => exit::IO,
        _ => exit::SOFTWARE,
    };
    match error {
        StoreError::Failed(text) => Failure { text, code },
        other => Failure { text: other.to_string(), code },
    }
}
