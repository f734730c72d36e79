//! Who is behind a connection to the control socket.
//!
//! In: the uid the kernel vouches for (SO_PEERCRED), and the name a request gives. Out: the author that history
//! keeps. A request may speak for somebody else, but never hides who sent it.

use nix::unistd::{Uid, User};

/// The process at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its user's name, or `uid 1000` where it has none.
    pub(super) user: String,
}

impl Peer {
    /// Looks up the user's name. May block on the system's user database.
    pub(super) fn of_uid(uid: u32) -> Peer {
        let user = match User::from_uid(Uid::from_raw(uid)) {
            Ok(Some(user)) => user.name,
            Ok(None) | Err(_) => format!("uid {uid}"),
        };
        Peer { user }
    }

    /// The author of a request that says `claimed`: `root for alice`.
    pub(super) fn author(&self, claimed: Option<&str>) -> String {
        match claimed {
            Some(name) if name != self.user => format!("{} for {name}", self.user),
            _ => self.user.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaking_for_somebody_keeps_both_names() {
        let peer = Peer {
            user: "root".into(),
        };
        assert_eq!(peer.author(None), "root");
        assert_eq!(peer.author(Some("root")), "root");
        assert_eq!(peer.author(Some("alice")), "root for alice");
    }

    #[test]
    fn a_uid_without_a_name_is_shown_as_number() {
        assert_eq!(Peer::of_uid(3_999_999_999).user, "uid 3999999999");
    }
}
