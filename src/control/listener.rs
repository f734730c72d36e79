//! The control socket: bound so that nobody else gets in, served so that nobody can hold it up.
//!
//! In: a path and the router. Out: answers to whoever may open the socket. Never here: what a request means.
//!
//! A connection carries one request; the number of connections, their time and the size of a request are bounded.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr};
use nix::sys::stat::{Mode, fchmod};
use nix::unistd::Group;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::author::Peer;
use super::refusal::{Refused, invalid};

/// Connections at one time; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 64;
/// Requests under way at the end are given this long.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// How long a connection may take over what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// A request line and its headers must have come by then.
    pub(super) header: Duration,
    /// A request must have been answered by then; probing a route's pools takes longest.
    pub(super) answer: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            header: Duration::from_secs(5),
            answer: Duration::from_secs(60),
        }
    }
}

/// Why the control socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process serves it.
    #[error(
        "cannot open the control socket {}: another process answers on it\nthat one goes on",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not a socket lies there.
    #[error(
        "cannot open the control socket {}: a file that is no socket lies there\nit was left as it is",
        path.display()
    )]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The operating system said no.
    #[error("cannot open the control socket {}: {error}\nno commands are taken", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
}

/// The bound control socket.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    inode: u64,
    pub(super) patience: Patience,
}

impl Listener {
    /// Binds the socket with these permission bits and group (the process's own when none is named). A socket that a
    /// dead process left is replaced, a live one is not.
    ///
    /// Must be called within a tokio runtime.
    pub fn bind(path: &Path, mode: u32, group: Option<&str>) -> Result<Listener, ListenError> {
        let fault = |error: io::Error| ListenError::Io {
            path: path.to_owned(),
            error,
        };
        match fs::symlink_metadata(path) {
            Ok(there) if !there.file_type().is_socket() => {
                return Err(ListenError::NotASocket {
                    path: path.to_owned(),
                });
            }
            Ok(_) if BlockingStream::connect(path).is_ok() => {
                return Err(ListenError::InUse {
                    path: path.to_owned(),
                });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(fault(error)),
        }
        // Bound under another name, closed to all but us, then opened to the group and renamed: at no
        // moment is the socket open to others, or the path without one.
        let aside = path.with_extension(format!("new-{}", std::process::id()));
        let _ = fs::remove_file(&aside);
        let bound = bind_closed(&aside).and_then(|socket| {
            if let Some(name) = group {
                give_to_group(&aside, name)?;
            }
            fs::set_permissions(&aside, fs::Permissions::from_mode(mode & 0o777))?;
            fs::rename(&aside, path)?;
            Ok(socket)
        });
        let socket = bound.map_err(|error| {
            let _ = fs::remove_file(&aside);
            fault(error)
        })?;
        let inode = fs::symlink_metadata(path).map_err(fault)?.ino();
        Ok(Listener {
            socket: UnixListener::from_std(socket).map_err(fault)?,
            path: path.to_owned(),
            inode,
            patience: Patience::default(),
        })
    }

    /// Answers until `stop` turns true, then lets requests under way end and removes the socket.
    pub async fn serve(self, router: Router, mut stop: watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let mut stopped = pin!(async move {
            // A sender that is gone means the same as a stop.
            let _ = stop.wait_for(|stop| *stop).await;
        });
        loop {
            let slot = tokio::select! {
                slot = Arc::clone(&slots).acquire_owned() => slot,
                () = &mut stopped => break,
            };
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = &mut stopped => break,
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (router, patience) = (router.clone(), self.patience);
                    connections.spawn(async move {
                        let _slot = slot;
                        connection(stream, router, patience).await;
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        "cannot accept on the control socket: {error}; trying again in 1 s"
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        self.remove();
        let ended = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN_TIME, ended).await;
    }

    /// Removes the socket, unless another process has put its own in the place.
    fn remove(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind_closed(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use nix::sys::socket::{bind, listen, socket};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    // On Linux the file takes the mode that the socket has when it is bound.
    fchmod(&fd, Mode::from_bits_truncate(0o600))?;
    bind(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(path)?)?;
    listen(&fd, Backlog::MAXCONN)?;
    Ok(fd.into())
}

fn give_to_group(path: &Path, name: &str) -> io::Result<()> {
    let group = Group::from_name(name)?
        .ok_or_else(|| io::Error::other(format!("there is no group {name} on this machine")))?;
    std::os::unix::fs::chown(path, None, Some(group.gid.as_raw()))
}

async fn connection(stream: UnixStream, router: Router, patience: Patience) {
    let peer = match stream.peer_cred() {
        // The user database may lie across the network.
        Ok(credentials) => {
            let uid = credentials.uid();
            match tokio::task::spawn_blocking(move || Peer::of_uid(uid)).await {
                Ok(peer) => peer,
                Err(_) => return,
            }
        }
        // Nobody to hold responsible: no answer.
        Err(_) => return,
    };
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let answer =
            hyper::service::Service::call(&TowerToHyperService::new(router.clone()), request);
        async move {
            let answered = tokio::time::timeout(patience.answer, answer).await;
            Ok::<Response<Body>, std::convert::Infallible>(match answered {
                Ok(Ok(response)) => response,
                Err(_) => too_slow(patience.answer).into_response(),
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.header)
        .keep_alive(false)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    // Whoever does not read the answer is not waited for.
    let bound = patience.header + patience.answer + DRAIN_TIME;
    if let Ok(Err(error)) = tokio::time::timeout(bound, served).await {
        tracing::debug!("a control connection ended early: {error}");
    }
}

fn too_slow(bound: Duration) -> Refused {
    let mut refused = invalid(
        "too-slow",
        StatusCode::SERVICE_UNAVAILABLE,
        "cannot answer in time",
        format!("the request took longer than {} s", bound.as_secs()),
    );
    refused.refusal.kind = crate::engine::RefusalKind::Unavailable;
    refused.refusal.in_force = "a change may or may not have been made; look at the status".into();
    refused.refusal.hint = Some("repoint status".into());
    refused
}
