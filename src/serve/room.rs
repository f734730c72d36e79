//! What one connection's answers may hold of our memory until the client takes them.
//!
//! In: answers of exchanges that run side by side on a connection. Out: room for the longest message there is before an
//! answer is made, as much as it needs once it is there, all of it back when nobody holds its octets any more. A client that
//! asks for much and takes nothing waits for itself, and no other connection does. Never here: how octets are sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The longest DNS message there is.
const LONGEST: u32 = 65535;
/// Room of one connection, in octets: two answers of any length, hundreds that are usual.
const ROOM: usize = 128 << 10;

/// The room of one connection.
pub(super) struct Room(Arc<Semaphore>);

/// Room for an answer that is not made yet.
pub(super) struct Place(OwnedSemaphorePermit);

/// An answer in its place; dropping it gives the place back.
pub(super) struct Held {
    octets: Vec<u8>,
    _place: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Room {
        Room(Arc::new(Semaphore::new(ROOM)))
    }

    /// A place for an answer; none when those before it are not taken in time.
    pub(super) async fn place(&self, patience: Duration) -> Option<Place> {
        let place = self.0.clone().acquire_many_owned(LONGEST);
        timeout(patience, place).await.ok()?.ok().map(Place)
    }
}

impl Place {
    /// Puts an answer into its place, and gives back what it does not need.
    pub(super) fn hold(self, mut octets: Vec<u8>) -> Held {
        let Place(mut place) = self;
        octets.shrink_to_fit();
        let unused = place.num_permits().saturating_sub(octets.len());
        drop(place.split(unused));
        Held {
            octets,
            _place: place,
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.octets
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn answers_that_are_not_taken_keep_others_waiting_and_small_ones_hardly_do() {
        let room = Room::new();
        let patience = Duration::from_millis(10);
        let mut held = Vec::new();
        while let Some(place) = room.place(patience).await {
            held.push(place.hold(vec![0; 300]));
            assert!(held.len() <= ROOM / 300);
        }
        let most = held.len();
        assert!(most >= 200, "{most} answers of 300 octets");
        held.clear();
        while let Some(place) = room.place(patience).await {
            held.push(place.hold(vec![0; 60_000]));
        }
        assert_eq!(held.len(), 2);
        // The next one waits for as long as they are held, and no longer.
        let waiting = tokio::spawn(async move {
            let place = room.place(Duration::from_secs(60)).await;
            place.is_some()
        });
        held.clear();
        assert!(waiting.await.unwrap());
    }
}
