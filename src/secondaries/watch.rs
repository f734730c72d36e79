//! The task that asks nameservers which are no secondaries of the configuration for their serials, now and then.
//!
//! In: the zones served, the configuration. Out: word to the engine of a serial ahead of ours: a second primary, or state
//! that was lost here. Never here: NOTIFY; an alarm for a server that does not answer or is behind, which
//! `delegation check` finds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::errands::{Way, serial};
use super::ledger::Reply;
use super::others::{Nameserver, is_known, nameservers};
use crate::ask::{Resolvers, SourceAddresses};
use crate::clock::ReadNow;
use crate::engine::{Claim, Event, Standing};
use crate::shell::{Clock, Handle};
use crate::zone::{Name, ZoneVersion};

/// After a start, and after a change of the configuration, so long until they are asked: state that was lost is to be
/// noticed before it does harm.
const SOON: Duration = Duration::from_secs(5);
/// Then so long from one round to the next.
const ROUND: Duration = Duration::from_secs(300);
/// Between two questions to one address.
const PACE: Duration = Duration::from_millis(20);
/// Addresses asked at one time.
const AT_ONCE: usize = 8;
/// Where every nameserver answers.
const PORT: u16 = 53;

/// Asks for as long as it is polled.
pub async fn watch(handle: Handle, clock: Clock, sources: SourceAddresses) {
    let read_now: ReadNow = Arc::new(move || clock.now());
    let mut changes = handle.configurations();
    let mut pause = SOON;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {
                round(&handle, &sources, &read_now).await;
                pause = ROUND;
            }
            changed = changes.changed() => match changed {
                Ok(()) => pause = SOON,
                // The shell has ended: nothing will be published any more.
                Err(_) => return,
            },
        }
    }
}

/// Asks every nameserver for every zone once.
async fn round(handle: &Handle, sources: &SourceAddresses, now: &ReadNow) {
    let configuration = handle.configuration();
    let servers = nameservers(&configuration, &handle.zones().load());
    let resolvers = Resolvers::new(&configuration.resolvers);
    let permits = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for server in servers {
        let all: BTreeSet<IpAddr> = addresses(&server, &resolvers).await.into_iter().collect();
        for address in all.iter().copied() {
            let zones = server.zones.iter();
            let zones = zones.filter(|zone| !is_known(&configuration, address, zone.apex()));
            let zones: Vec<Arc<ZoneVersion>> = zones.cloned().collect();
            if zones.is_empty() {
                continue;
            }
            let (nameserver, handle) = ((server.name.clone(), all.clone()), handle.clone());
            let (permits, now) = (permits.clone(), now.clone());
            let way = Way {
                server: SocketAddr::new(address, PORT),
                source: sources.toward(address, None),
            };
            asked.spawn(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire_owned().await;
                ask_for_all(&nameserver, way, &zones, &handle, &now).await;
            });
        }
    }
    asked.join_all().await;
}

/// Its addresses; none when nobody says.
async fn addresses(server: &Nameserver, resolvers: &Resolvers) -> Vec<IpAddr> {
    let found = match server.addresses.is_empty() {
        true => resolvers.addresses(&server.name).await.unwrap_or_default(),
        false => server.addresses.clone(),
    };
    found.iter().map(IpAddr::to_canonical).collect()
}

/// Asks one address for each zone, until it does not answer.
async fn ask_for_all(
    (name, all): &(Name, BTreeSet<IpAddr>),
    way: Way,
    zones: &[Arc<ZoneVersion>],
    handle: &Handle,
    now: &ReadNow,
) {
    let address = way.server.ip();
    for ours in zones {
        match serial(way, ours, None, now).await {
            Reply::Serial(has) if has.is_after(ours.serial()) => {
                let text = name.to_string();
                let claim = Claim {
                    server: format!("nameserver {} ({address})", text.trim_end_matches('.')),
                    standing: Standing::Nameserver,
                    addresses: all.clone(),
                    apex: ours.apex().clone(),
                    serial: has,
                };
                let event = Event::SerialAhead(Box::new(claim));
                // The engine may have stopped: then nobody needs to know.
                let _ = handle.notify(event).await;
            }
            Reply::Nothing(why) => {
                tracing::debug!(%name, %address, %why, "a nameserver does not say which serials it has");
                return;
            }
            Reply::Serial(_) | Reply::Other(_) => {}
        }
        tokio::time::sleep(PACE).await;
    }
}
