//! The certificate of the encrypted transports: read, shown, and read again when its files change.
//!
//! In: the two paths, the moment. Out: an identity for TLS, and the concern that its alarm is made of. A pair that cannot be used
//! never takes the place of one that can, and stops nothing else. Never here: TLS.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::clock::Wall;
use crate::config::ServerSettings;
use crate::engine::{AlarmKind, Concern, Event, Severity};
use crate::files;
use crate::serve::{Certificate, Identity};
use crate::shell::{Clock, Handle};

/// How often the files are looked at.
const EVERY: Duration = Duration::from_secs(60);
/// More octets than a chain or a key has.
const LARGEST: u64 = 1 << 20;

/// Where certificate and key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PairFiles {
    chain: PathBuf,
    key: PathBuf,
}

impl PairFiles {
    /// Those of the configuration, if something is served with them.
    pub(super) fn of(settings: &ServerSettings) -> Option<PairFiles> {
        Some(PairFiles {
            chain: settings.certificate.clone()?,
            key: settings.certificate_key.clone()?,
        })
    }
}

/// The certificate in force, and where it comes from.
#[derive(Debug, Default)]
pub(super) struct ShownCertificate {
    identity: Arc<Identity>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: Option<PairFiles>,
    /// What was in them when they were read last, to see a change.
    read: Option<(Vec<u8>, Vec<u8>)>,
    shown: Option<Certificate>,
    /// Why what is in the files now cannot be used.
    fault: Option<String>,
}

impl ShownCertificate {
    pub(super) fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.identity)
    }

    /// Looks at the files now, and says what is wrong with the certificate. `files` replaces the paths from before.
    pub(super) fn look(&self, files: Option<PairFiles>, now: Wall) -> Option<Concern> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.files != files {
            state.read = None;
            state.files = files;
        }
        let files = state.files.clone()?;
        match read(&files) {
            Ok(read) if state.read.as_ref() == Some(&read) => {}
            Ok(read) => {
                let made = Certificate::from_pem(&read.0, &read.1);
                state.read = Some(read);
                state.fault = made.as_ref().err().map(ToString::to_string);
                if let Ok(certificate) = made {
                    self.identity.show(&certificate);
                    let chain = files.chain.display();
                    tracing::info!("showing the certificate {chain}: {certificate}");
                    state.shown = Some(certificate);
                }
            }
            Err(why) => {
                state.read = None;
                state.fault = Some(why);
            }
        }
        state.concern(&files, now)
    }

    /// As [`ShownCertificate::look`], at the paths from before.
    pub(super) fn look_again(&self, now: Wall) -> Option<Concern> {
        let files = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.files.clone()
        };
        self.look(files, now)
    }
}

impl State {
    fn concern(&self, files: &PairFiles, now: Wall) -> Option<Concern> {
        let (chain, key) = (files.chain.display(), files.key.display());
        let renew = "renew it: the files are read again within a minute, or at once by: repoint config reload";
        let (severity, text, remedy) = match (&self.fault, &self.shown) {
            (Some(why), None) => (
                Severity::Critical,
                format!(
                    "cannot use the certificate {chain} with the key {key}: {why}; TLS, HTTPS and QUIC are refused until it can be, UDP and TCP are served"
                ),
                "mend the files; they are read again within a minute, or at once by: repoint config reload",
            ),
            (Some(why), Some(shown)) => (
                Severity::Warning.max(time_left(shown, now).unwrap_or(Severity::Warning)),
                format!(
                    "cannot use the certificate {chain} with the key {key}: {why}; the one read before stays in force ({shown})"
                ),
                "mend the files; they are read again within a minute, or at once by: repoint config reload",
            ),
            (None, Some(shown)) => match time_left(shown, now)? {
                Severity::Critical => (
                    Severity::Critical,
                    format!(
                        "the certificate {chain} is not valid now ({shown}): it is shown on, and clients that check it go away"
                    ),
                    renew,
                ),
                severity => (
                    severity,
                    format!("the certificate {chain} ends soon ({shown})"),
                    renew,
                ),
            },
            (None, None) => return None,
        };
        Some(Concern {
            severity,
            text,
            remedy: Some(remedy.into()),
        })
    }
}

/// How bad it is that a certificate's time runs out; none while there is enough. Who renews in time does it with a third
/// of the lifetime left.
fn time_left(certificate: &Certificate, now: Wall) -> Option<Severity> {
    let left = certificate.until().since(now);
    let lifetime = certificate.until().since(certificate.from());
    if left.is_zero() || now < certificate.from() {
        Some(Severity::Critical)
    } else if left < lifetime / 6 {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// Tries the certificate of a configuration, as a start or a reload would; none where it names none.
///
/// # Errors
/// Why the certificate cannot be used or why clients refuse it, and what fixes it.
pub fn try_certificate(
    settings: &ServerSettings,
    now: Wall,
) -> Option<Result<Certificate, String>> {
    let files = PairFiles::of(settings)?;
    let tried = ShownCertificate::default();
    let concern = tried.look(Some(files), now);
    let shown = tried
        .state
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
        .shown;
    Some(match (concern, shown) {
        (Some(concern), _) if concern.severity == Severity::Critical => Err(concern.text),
        (_, Some(certificate)) => Ok(certificate),
        (_, None) => Err("there is no certificate".into()),
    })
}

fn read(files: &PairFiles) -> Result<(Vec<u8>, Vec<u8>), String> {
    let one = |path: &Path| {
        files::read(path, LARGEST)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))
    };
    Ok((one(&files.chain)?, one(&files.key)?))
}

/// Tells the engine what is wrong with the certificate, or that nothing is.
pub(super) async fn tell(handle: &Handle, concern: Option<Concern>) {
    let said = concern.as_ref().map(|concern| concern.text.clone());
    let event = Event::Concern {
        kind: AlarmKind::ServerCertificate,
        subject: String::new(),
        concern,
    };
    if let (Err(_), Some(said)) = (handle.notify(event).await, said) {
        tracing::error!("the engine does not hear of it: {said}");
    }
}

/// Looks again and again, until dropped.
pub(super) async fn keep(certificate: Arc<ShownCertificate>, clock: Clock, handle: Handle) {
    loop {
        tokio::time::sleep(EVERY).await;
        let again = Arc::clone(&certificate);
        // A disk that hangs keeps this waiting and nothing else. A panic is in the log.
        let looked = spawn_blocking(move || again.look_again(clock.now().wall)).await;
        if let Ok(concern) = looked {
            tell(&handle, concern).await;
        }
    }
}
