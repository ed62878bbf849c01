//! What the process may do: no core dumps, private files, root given up once the ports are bound,
//! and writing only below the folders that are ours (Landlock).
//!
//! Passwords and message text pass through memory, so a core file would leak them.

use crate::admin::{Failure, exit, fail};
use crate::config::Config;
use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus,
};
use nix::unistd::{Group, Uid, User, chown, setgid, setgroups, setuid};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The account that is used when the configuration names none.
const USUAL_USER: &str = "postrider";

/// What holds for every command, from its first moment: new files are for us alone, no core file
/// is written, and as many files may be open as the system lets us.
pub fn harden() {
    umask(Mode::RWXG | Mode::RWXO);
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
}

/// Confines writing to the root folder and the data folder. Must be called before any thread is
/// started. False where the kernel cannot do it.
pub fn confine(root: &Path, config: &Config) -> Result<bool, RulesetError> {
    let writing = AccessFs::from_write(ABI::V3);
    let mut rules = Ruleset::default().handle_access(writing)?.create()?;
    for folder in [root, &root.join(&config.store.folder), Path::new("/dev")] {
        if let Ok(opened) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(opened, writing))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Whom the server runs as: nobody special unless it is root now.
fn wanted(config: &Config) -> Result<Option<User>, Failure> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    let named = !config.user.is_empty();
    let name = if named { config.user.as_str() } else { USUAL_USER };
    match User::from_name(name) {
        Ok(Some(user)) => Ok(Some(user)),
        Ok(None) if named => Err(fail(
            exit::CONFIG,
            format!("user '{name}' does not exist\nMake it: useradd --system {name}"),
        )),
        Ok(None) => Ok(None),
        Err(error) => Err(fail(exit::SOFTWARE, format!("user '{name}': {error}"))),
    }
}

/// What became of root.
#[derive(Debug, PartialEq, Eq)]
pub enum Root {
    /// We never were root.
    Never,
    /// We are this user now.
    Dropped(String),
    /// We are root still, because there is no other user to be.
    Kept,
}

/// Becomes the configured user, for good, if we are root. The folders must be that user's.
pub fn drop_root(root: &Path, config: &Config) -> Result<Root, Failure> {
    let Some(user) = wanted(config)? else {
        let kept = Uid::effective().is_root();
        return Ok(if kept { Root::Kept } else { Root::Never });
    };
    if user.uid.is_root() {
        return Ok(Root::Kept);
    }
    for folder in [root, &root.join(&config.store.folder)] {
        let owner = fs::metadata(folder).map(|meta| meta.uid());
        if owner.as_ref().is_ok_and(|owner| *owner != user.uid.as_raw()) {
            return Err(fail(exit::CONFIG, not_owned(folder, root, &user.name)));
        }
    }
    // Made by root, so that nobody but root could connect.
    for socket in config.listen.lmtp_sockets(root) {
        let given = chown(&socket, Some(user.uid), Some(user.gid));
        let on = socket.display();
        given.map_err(|error| fail(exit::SOFTWARE, format!("listen.lmtp: {on}: {error}")))?;
    }
    let all =
        setgroups(&[user.gid]).and_then(|()| setgid(user.gid)).and_then(|()| setuid(user.uid));
    all.map_err(|e| fail(exit::SOFTWARE, format!("cannot become '{}': {e}", user.name)))?;
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(fail(exit::SOFTWARE, "root could be had again after giving it up"));
    }
    Ok(Root::Dropped(user.name))
}

fn not_owned(folder: &Path, root: &Path, user: &str) -> String {
    format!(
        "{} does not belong to '{user}', whom the server runs as\nAs root: chown -R {user}: {}",
        folder.display(),
        root.display()
    )
}

/// Why a folder cannot be written, with the command that helps. `None` when it can.
pub fn trouble_with(folder: &Path) -> Option<String> {
    let writable = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok();
    if writable || !folder.exists() {
        return None;
    }
    let (uid, gid) = (Uid::effective(), nix::unistd::Gid::effective());
    let name = User::from_uid(uid).ok().flatten().map_or(uid.to_string(), |user| user.name);
    let group = Group::from_gid(gid).ok().flatten().map_or(gid.to_string(), |group| group.name);
    Some(format!(
        "{0} cannot be written by '{name}'\nAs root: chown -R {name}:{group} {0}",
        folder.display()
    ))
}

/// Gives everything in the root folder to the user that the server will run as.
pub fn give_away(root: &Path, config: &Config) -> Result<(), Failure> {
    let Some(user) = wanted(config)? else { return Ok(()) };
    let mut open = vec![root.to_owned(), root.join(&config.store.folder)];
    while let Some(path) = open.pop() {
        let given = chown(&path, Some(user.uid), Some(user.gid));
        given.map_err(|e| fail(exit::CANT_CREATE, format!("{}: {e}", path.display())))?;
        if path.is_dir() && !path.is_symlink() {
            let inside = fs::read_dir(&path).into_iter().flatten().flatten();
            open.extend(inside.filter(|e| !e.path().is_symlink()).map(|entry| entry.path()));
        }
    }
    Ok(())
}
