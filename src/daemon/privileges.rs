//! Giving up root, where `[server] user` says whose the server is to be.
//!
//! In: the configuration's user, before any thread is there. Out: a process of that user that may bind ports below 1024 and
//! nothing else that root may; or why not. Never here: the sockets; they are bound as that user.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{self, User};

use super::start::{Paths, said_of_server};

/// Whose the process is after [`give_up_root`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// It was not started as root: nothing was changed.
    AsStarted,
    /// It was started as root, and nobody said whose it is to be.
    Root,
    /// It is this user's now.
    User(String),
}

/// Why root was not given up. Nothing is served then: an operator who names a user does not want a server that runs as root.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such user.
    #[error(
        "[server] user: there is no user {0} on this machine; make it with: adduser --system --group --no-create-home {0}"
    )]
    NoUser(String),
    /// The system's list of users cannot be read.
    #[error("[server] user: cannot look the user {0} up: {1}")]
    Lookup(String, Errno),
    /// The system refused a step.
    #[error("[server] user: cannot become {user}: {step}: {why}")]
    Refused {
        /// Who was to be.
        user: String,
        /// What was refused.
        step: &'static str,
        /// By what.
        why: String,
    },
    /// A directory that the server writes into cannot be made.
    #[error("[server] user: cannot make {0} for the user: {1}")]
    Directory(String, io::Error),
}

/// The user of a name.
///
/// # Errors
/// There is none.
pub fn find_user(name: &str) -> Result<User, PrivilegeError> {
    User::from_name(name)
        .map_err(|errno| PrivilegeError::Lookup(name.into(), errno))?
        .ok_or_else(|| PrivilegeError::NoUser(name.into()))
}

/// Becomes the user that the configuration names, if this is root. To be called before any thread is there: what a thread
/// may do is its own.
///
/// # Errors
/// The user is named, and cannot be become.
pub fn give_up_root(paths: &Paths) -> Result<Identity, PrivilegeError> {
    if !unistd::geteuid().is_root() {
        return Ok(Identity::AsStarted);
    }
    let said = said_of_server(paths);
    let user = match &said.user {
        Some(name) => Some(find_user(name)?),
        None if said.is_user_lost => owner_of(&said.state),
        None => None,
    };
    let Some(user) = user else {
        return Ok(Identity::Root);
    };
    make_for(&user, &said.state, 0o700)?;
    if let Some(directory) = said.control.parent() {
        make_for(&user, directory, 0o755)?;
    }
    become_user(&user)?;
    Ok(Identity::User(user.name))
}

/// The user whose directory it is, unless it is root's.
fn owner_of(directory: &Path) -> Option<User> {
    let owner = unistd::Uid::from_raw(fs::metadata(directory).ok()?.uid());
    // An owner without a name has no groups to look up.
    let user = User::from_uid(owner).ok().flatten();
    user.filter(|user| !user.uid.is_root())
}

/// Makes a directory that the server writes into and that is not there yet.
fn make_for(user: &User, directory: &Path, mode: u32) -> Result<(), PrivilegeError> {
    let failed = |error| PrivilegeError::Directory(directory.display().to_string(), error);
    if directory.as_os_str().is_empty() {
        return Ok(());
    }
    match fs::metadata(directory) {
        Ok(there) => {
            if there.uid() != user.uid.as_raw() && mode == 0o700 {
                let (directory, name) = (directory.display(), &user.name);
                eprintln!(
                    "{directory} is not {name}'s, and may not be writable: chown -R {name}: {directory}"
                );
            }
            return Ok(());
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Err(_) => {}
    }
    if let Some(parent) = directory.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    DirBuilder::new()
        .mode(mode)
        .create(directory)
        .map_err(failed)?;
    unistd::chown(directory, Some(user.uid), Some(user.gid)).map_err(|errno| failed(errno.into()))
}

fn become_user(user: &User) -> Result<(), PrivilegeError> {
    let refused = |step: &'static str, why: &dyn std::fmt::Display| PrivilegeError::Refused {
        user: user.name.clone(),
        step,
        why: why.to_string(),
    };
    let name = std::ffi::CString::new(user.name.as_str());
    let name = name.map_err(|error| refused("its name", &error))?;
    unistd::initgroups(&name, user.gid).map_err(|errno| refused("its groups", &errno))?;
    unistd::setresgid(user.gid, user.gid, user.gid)
        .map_err(|errno| refused("its group", &errno))?;
    prctl::set_keepcaps(true).map_err(|errno| refused("keeping a capability", &errno))?;
    unistd::setresuid(user.uid, user.uid, user.uid).map_err(|errno| refused("its id", &errno))?;
    // What was kept is everything that root may: now all but one goes.
    let kept = CapsHashSet::from([Capability::CAP_NET_BIND_SERVICE]);
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(|error| refused("giving capabilities up", &error))?;
    }
    caps::clear(None, CapSet::Inheritable)
        .map_err(|error| refused("giving capabilities up", &error))?;
    prctl::set_no_new_privs().map_err(|errno| refused("forbidding new privileges", &errno))
}
