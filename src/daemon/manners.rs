//! How requests are answered, as the configuration says it.
//!
//! In: the configuration in force. Out: [`Manners`], put in place whole at the start and after a reload.
//! Never here: answering.

use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::ResponseCode;

use crate::clock::{Now, ReadNow};
use crate::config::{Configuration, MannersSettings};
use crate::engine::{CHANGED_MEANWHILE, ChallengeChange, Command, Expected, RefusalKind};
use crate::inbound::Inbound;
use crate::serve::{
    Authority, Berths, Made, Manners, Primaries, RateLimit, RateTable, Replays, Secret, Secrets,
    TextChange, Transfers, Update, Updates,
};
use crate::shell::{Ask, Handle};
use crate::zone::Name;

/// The manners of the listeners, and what of them outlives a reload.
pub(super) struct Desk {
    read_now: ReadNow,
    manners: Arc<ArcSwap<Manners>>,
    berths: Berths,
    /// Cookies are made from it when the configuration has no secret. Random: a restart costs clients one exchange.
    own_secret: Secret,
    table: Arc<RateTable>,
    replays: Arc<Replays>,
    inbound: Inbound,
    handle: Handle,
}

impl Desk {
    /// Puts the configuration's manners in place.
    pub(super) fn new(
        authority: &Authority,
        configuration: &Configuration,
        inbound: Inbound,
        handle: Handle,
    ) -> Desk {
        let desk = Desk {
            read_now: authority.read_now.clone(),
            manners: Arc::clone(&authority.manners),
            berths: Berths::default(),
            own_secret: rand::random(),
            table: Arc::new(RateTable::new(rand::random())),
            replays: Arc::default(),
            inbound,
            handle,
        };
        desk.follow(configuration);
        desk
    }

    /// Puts another configuration's manners in place.
    pub(super) fn follow(&self, configuration: &Configuration) {
        let MannersSettings {
            nsid,
            version,
            cookies,
            cookie_secrets,
            rate_limit,
            rate_limit_slip,
            rate_limit_exempt,
        } = &configuration.manners;
        let secrets = match cookie_secrets {
            Some(shared) => Secrets::Shared(shared.0.clone()),
            None => Secrets::Own(self.own_secret),
        };
        let rate_limit = RateLimit {
            rate: *rate_limit,
            slip: *rate_limit_slip,
            exempt: rate_limit_exempt.clone(),
            table: Arc::clone(&self.table),
        };
        self.manners.store(Arc::new(Manners {
            nsid: nsid.as_deref().map(Arc::from),
            version: version.clone(),
            cookies: cookies.then_some(secrets),
            rate_limit: (rate_limit.rate > 0).then_some(rate_limit),
            tsig: configuration.tsig.clone(),
            updates: {
                let handle = self.handle.clone();
                let make = move |update| -> Made { Box::pin(make(handle.clone(), update)) };
                let replays = Arc::clone(&self.replays);
                Updates::new(configuration.acme.tsig.clone(), Arc::new(make), replays)
            },
            transfers: Transfers {
                secondaries: configuration.secondaries.clone(),
                berths: self.berths.clone(),
            },
            primaries: {
                let inbound = self.inbound.clone();
                let hear = Arc::new(move |apex: &Name| inbound.hurry(apex));
                Primaries::new(&configuration.topology, hear)
            },
        }));
    }

    /// The transfers under way and those of before.
    pub(super) fn berths(&self) -> &Berths {
        &self.berths
    }

    /// What the time is.
    pub(super) fn now(&self) -> Now {
        (self.read_now)()
    }
}

/// Makes an update as a command, and says with which code it is answered.
async fn make(handle: Handle, update: Update) -> ResponseCode {
    let changes = update.changes.into_iter().map(|(name, change)| {
        let change = match change {
            TextChange::Add(text) => ChallengeChange::Set(text),
            TextChange::Delete(text) => ChallengeChange::Clear(text),
            TextChange::DeleteAll => ChallengeChange::ClearAll,
        };
        (name, change)
    });
    let changes: Vec<_> = changes.collect();
    if changes.is_empty() {
        return ResponseCode::NoError;
    }
    let asked = Ask {
        command: Command::Challenges {
            changes,
            lifetime: None,
            lenient: true,
        },
        author: format!("TSIG key {} at {}", update.key, update.peer.address.ip()),
        why: None,
        dry_run: false,
        volatile: false,
        expected: update.of.map(Expected::Node),
    };
    match handle.request(asked).await {
        Ok(_) => ResponseCode::NoError,
        Err(refusal) => {
            tracing::warn!("an update is refused: {refusal}");
            match refusal.kind {
                RefusalKind::Unavailable => ResponseCode::ServFail,
                _ if refusal.code == CHANGED_MEANWHILE => ResponseCode::ServFail,
                _ => ResponseCode::Refused,
            }
        }
    }
}
