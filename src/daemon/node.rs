//! The running node as the control interface sees it.
//!
//! In: questions and commands. Out: what engine, store, prober and zones answer. The configuration file is read here,
//! off the engine's task. Never here: HTTP, decisions.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::certificate::{self, PairFiles, ShownCertificate};
use super::manners::Desk;
use super::start::Paths;
use crate::config::{self, Configuration};
use crate::control::{Answer, NewKey, Node, Probed, Reload, probe_route};
use crate::delegation::{Selection, Served};
use crate::engine::{
    Command, Done, Entry, Event, MISFIT, REMOVAL, Refusal, RefusalKind, Rejection, RejectionKind,
    SIGNING, View,
};
use crate::files;
use crate::inbound::{Inbound, RefreshError};
use crate::probe::Prober;
use crate::secondaries::{Board, SecondaryView};
use crate::serve::{Counters, Counts};
use crate::shell::{Ask, Clock, Handle};
use crate::store::{self, HistoryFilter, Store};
use crate::topology::{CheckSettings, DomainName, PoolName, RouteName};
use crate::zone;

/// The parts behind the control interface.
pub struct ServedNode {
    handle: Handle,
    prober: Arc<Prober>,
    store: Store,
    /// What the encrypted transports show, when there are any.
    certificate: Option<Arc<ShownCertificate>>,
    inbound: Inbound,
    paths: Paths,
    desk: Desk,
    secondaries: Board,
    counters: Arc<Counters>,
    /// One reload at a time: prober and engine get the same configuration.
    reloading: Mutex<()>,
    /// One copy of the state at a time.
    copying: Mutex<()>,
}

impl ServedNode {
    pub(super) fn new(
        handle: Handle,
        prober: Arc<Prober>,
        store: Store,
        certificate: Option<Arc<ShownCertificate>>,
        inbound: Inbound,
        paths: Paths,
        (desk, counters): (Desk, Arc<Counters>),
    ) -> ServedNode {
        ServedNode {
            handle,
            prober,
            store,
            certificate,
            inbound,
            paths,
            desk,
            secondaries: Board::default(),
            counters,
            reloading: Mutex::new(()),
            copying: Mutex::new(()),
        }
    }

    /// What is known of the secondaries.
    pub(super) fn secondaries(&self) -> &Board {
        &self.secondaries
    }

    async fn read(&self, what: &str) -> Result<Arc<Configuration>, Box<Refused>> {
        let file = self.paths.configuration.clone();
        let read = spawn_blocking(move || config::load(&file)).await;
        let refused = |problems: String| {
            Box::new(Refused {
                refusal: self.refusal(
                    what,
                    "config-rejected",
                    RefusalKind::Invalid,
                    problems.clone(),
                ),
                problems,
            })
        };
        match read {
            Ok(Ok(configuration)) => Ok(Arc::new(configuration)),
            Ok(Err(problems)) => Err(refused(problems.render(false).trim_end().to_owned())),
            Err(ended) => Err(refused(ended.to_string())),
        }
    }

    async fn put_in_force(&self, reload: Reload) -> Result<Done, Refusal> {
        let _turn = self.reloading.lock().await;
        let what = "cannot reload";
        let configuration = match self.read(what).await {
            Ok(configuration) => configuration,
            Err(refused) => {
                self.tell_rejected(&reload, refused.problems, RejectionKind::Faulty)
                    .await?;
                return Err(refused.refusal);
            }
        };
        // Files are read: not on a thread that answers.
        let (prober, fresh) = (Arc::clone(&self.prober), Arc::clone(&configuration));
        let prepared = spawn_blocking(move || prober.prepare(settings(&fresh))).await;
        let fault = match prepared {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(ended) => Some(ended.to_string()),
        };
        if let Some(why) = fault {
            self.tell_rejected(&reload, why.clone(), RejectionKind::Faulty)
                .await?;
            return Err(self.refusal(what, "config-rejected", RefusalKind::Invalid, why));
        }
        let (dry_run, files) = (reload.dry_run, PairFiles::of(&configuration.server));
        let asked = reload.clone();
        let mut done = self
            .handle
            .request(Ask {
                command: Command::Reload {
                    configuration,
                    allow_removal: reload.allow_removal,
                },
                author: reload.author,
                why: reload.why,
                dry_run: reload.dry_run,
                volatile: false,
                expected: reload.expected,
            })
            .await;
        let in_force = self.handle.configuration();
        self.prober.retain(settings(&in_force));
        self.desk.follow(&in_force);
        match &mut done {
            Ok(done) if !dry_run => {
                super::log_left_out(&in_force);
                done.warnings.extend(self.read_certificate(files).await);
            }
            Ok(_) => {}
            Err(refusal) if [REMOVAL, MISFIT, SIGNING].contains(&refusal.code.as_str()) => {
                let kind = match refusal.code.as_str() {
                    REMOVAL => RejectionKind::Removal,
                    SIGNING => RejectionKind::Signing,
                    _ => RejectionKind::Faulty,
                };
                self.tell_rejected(&asked, refusal.why.clone(), kind)
                    .await?;
            }
            Err(_) => {}
        }
        done
    }

    /// The file is not what is in force: an alarm says so until it is.
    async fn tell_rejected(
        &self,
        reload: &Reload,
        problems: String,
        kind: RejectionKind,
    ) -> Result<(), Refusal> {
        if reload.dry_run {
            return Ok(());
        }
        let rejection = Rejection { problems, kind };
        self.handle
            .notify(Event::ConfigurationRejected(rejection))
            .await
    }

    /// Reads the certificate's files, and says what is wrong with them.
    async fn read_certificate(&self, files: Option<PairFiles>) -> Option<String> {
        let certificate = Arc::clone(self.certificate.as_ref()?);
        let look = move || certificate.look(files, Clock::new().now().wall);
        let concern = spawn_blocking(look).await.ok()?;
        let said = concern.as_ref().map(|concern| concern.text.clone());
        certificate::tell(&self.handle, concern).await;
        said
    }

    fn refusal(&self, what: &str, code: &str, kind: RefusalKind, why: String) -> Refusal {
        Refusal {
            code: code.into(),
            kind,
            what: format!("{what} {}", self.paths.configuration.display()),
            why,
            in_force: format!(
                "the configuration accepted last stays in force (generation {})",
                self.handle.zones().load().generation()
            ),
            hint: None,
        }
    }

    fn unavailable(&self, what: &str, why: String) -> Refusal {
        Refusal {
            code: "store-failing".into(),
            kind: RefusalKind::Unavailable,
            what: what.into(),
            why,
            in_force: "answers and automatic changes are not affected".into(),
            hint: None,
        }
    }
}

/// A file that cannot be used: its problems, and what the operator is told.
struct Refused {
    refusal: Refusal,
    problems: String,
}

fn settings(configuration: &Configuration) -> impl Iterator<Item = &CheckSettings> {
    let checks = configuration.topology.checks.iter();
    checks.map(|(_, check)| &check.settings)
}

impl Node for ServedNode {
    fn view(&self) -> Answer<'_, View> {
        Box::pin(self.handle.view())
    }

    fn counts(&self) -> Counts {
        self.counters.read()
    }

    fn request(&self, ask: Ask) -> Answer<'_, Done> {
        Box::pin(self.handle.request(ask))
    }

    fn history(&self, filter: HistoryFilter) -> Answer<'_, Vec<Entry>> {
        Box::pin(async move {
            self.handle
                .history(filter)
                .await
                .map_err(|error| self.unavailable("cannot read the history", error.why().into()))
        })
    }

    fn probe(&self, route: RouteName, pool: Option<PoolName>) -> Answer<'_, Vec<Probed>> {
        Box::pin(async move {
            let configuration = self.handle.configuration();
            let prober = Arc::clone(&self.prober);
            Ok(probe_route(prober, &configuration.topology, &route, pool.as_ref()).await)
        })
    }

    fn served(&self, selection: &Selection) -> Served {
        let zones = self.handle.zones().load();
        Served::of(&self.handle.configuration(), &zones, selection, true)
    }

    fn zone_text(&self, apex: &DomainName) -> Option<String> {
        Some(self.handle.zones().load().zone(apex)?.to_master_text())
    }

    fn zone_diff(&self, apex: &DomainName) -> Option<String> {
        let current = Arc::clone(self.handle.zones().load().zone(apex)?);
        let before = self.handle.zone_before(apex);
        Some(before.map_or(String::new(), |before| {
            zone::diff(&before, &current).to_string()
        }))
    }

    fn refresh(&self, apex: DomainName) -> Answer<'_, String> {
        Box::pin(async move {
            let came = self.inbound.refresh(&apex).await;
            let serial = self
                .handle
                .zones()
                .load()
                .zone(&apex)
                .map(|zone| zone.serial());
            came.map_err(|error| Refusal {
                code: match error {
                    RefreshError::NotInbound => "not-inbound".into(),
                    RefreshError::Failed(_) | RefreshError::Slow => "primary-failing".into(),
                },
                kind: match error {
                    RefreshError::NotInbound => RefusalKind::Conflict,
                    RefreshError::Failed(_) | RefreshError::Slow => RefusalKind::Unavailable,
                },
                what: format!("cannot refresh zone {apex}"),
                why: error.to_string(),
                in_force: match (&error, serial) {
                    (RefreshError::NotInbound, Some(_)) => {
                        "its records are served as they are".into()
                    }
                    (_, Some(serial)) => {
                        format!("what was received last is served on, with our serial {serial}")
                    }
                    (_, None) => "it was never received, so the zone is not served".into(),
                },
                hint: None,
            })
        })
    }

    fn secondaries(&self, zone: Option<&DomainName>) -> Vec<SecondaryView> {
        let now = self.desk.now();
        self.secondaries.view(zone, self.desk.berths(), now)
    }

    fn begin_key(&self, new: NewKey) -> Answer<'_, Done> {
        let files = self.store.key_files();
        Box::pin(super::keys::begin_key(&self.handle, files, new))
    }

    fn configuration_file(&self) -> PathBuf {
        let file = &self.paths.configuration;
        std::path::absolute(file).unwrap_or_else(|_| file.clone())
    }

    fn check_configuration(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            match self.read("cannot use").await {
                Ok(configuration) => {
                    let warnings = configuration.warnings.iter();
                    Ok(warnings
                        .map(|one| format!("{}:{}: {}", one.file, one.line, one.message))
                        .collect())
                }
                Err(refused) => Err(refused.refusal),
            }
        })
    }

    fn reload(&self, reload: Reload) -> Answer<'_, Done> {
        Box::pin(self.put_in_force(reload))
    }

    fn backup(&self) -> Answer<'_, Vec<u8>> {
        let what = "cannot copy the state";
        Box::pin(async move {
            // One at a time: each reads the whole database.
            let _turn = self.copying.lock().await;
            let dir = self.store.directory().to_owned();
            let copied = spawn_blocking(move || copy_of(&dir)).await;
            let copied = copied.map_err(|ended| self.unavailable(what, ended.to_string()))?;
            copied.map_err(|why| self.unavailable(what, why))
        })
    }
}

/// A copy of the store as bytes, by way of a file beside it.
fn copy_of(dir: &Path) -> Result<Vec<u8>, String> {
    let copy = store::passing_copy(dir);
    let bytes = store::backup(dir, &copy)
        .map_err(|error| error.to_string())
        .and_then(|()| files::read(&copy, u64::MAX).map_err(|error| error.to_string()));
    // It was not made, or it has been read.
    let _ = std::fs::remove_file(&copy);
    bytes
}
