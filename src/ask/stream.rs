//! One conversation over TCP, for replies of more than one message.
//!
//! In: a request's octets, signed or not. Out: each message's octets, as they come (RFC 5936 §2.2). Never here: what a
//! transfer means, and when it is over; its reader knows.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::how::{AskError, How, from};

/// A connection on which one request was sent.
#[derive(Debug)]
pub struct Stream {
    io: TcpStream,
    server: SocketAddr,
    patience: Duration,
}

impl Stream {
    /// Connects and sends a request (of at most 65,535 octets). `how.timeout` bounds the connection, the sending and
    /// then the wait for each message.
    ///
    /// # Errors
    /// When there is no connection, or it does not take the request.
    pub async fn open(server: SocketAddr, request: &[u8], how: &How) -> Result<Stream, AskError> {
        let io = connect(server, how).await?;
        let mut stream = Stream {
            io,
            server,
            patience: how.timeout,
        };
        stream.send(request).await?;
        Ok(stream)
    }

    /// Sends a further request on the same connection.
    ///
    /// # Errors
    /// When the connection does not take it.
    pub async fn send(&mut self, request: &[u8]) -> Result<(), AskError> {
        // RFC 7766 §8: length and message in one segment.
        let mut framed = Vec::with_capacity(2 + request.len());
        let length = u16::try_from(request.len()).map_err(|_| AskError::TooLong)?;
        framed.extend(length.to_be_bytes());
        framed.extend(request);
        let sent = timeout(self.patience, self.io.write_all(&framed)).await;
        self.in_time(sent)
    }

    /// The octets of the next message.
    ///
    /// # Errors
    /// When none comes in time, or the connection ends.
    pub async fn next(&mut self) -> Result<Vec<u8>, AskError> {
        let receive = async {
            let mut length = [0; 2];
            self.io.read_exact(&mut length).await?;
            let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
            self.io.read_exact(&mut octets).await?;
            Ok(octets)
        };
        let received = timeout(self.patience, receive).await;
        self.in_time(received)
    }

    /// The server's address.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    fn in_time<T>(
        &self,
        done: Result<std::io::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, AskError> {
        match done {
            Ok(done) => done.map_err(|error| AskError::unreachable(self.server, &error)),
            Err(_) => Err(AskError::Timeout {
                server: self.server,
                after: self.patience,
            }),
        }
    }
}

/// Opens a connection to a server.
async fn connect(server: SocketAddr, how: &How) -> Result<TcpStream, AskError> {
    let failed = |error: &std::io::Error| AskError::unreachable(server, error);
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|e| failed(&e))?;
    if how.source.is_some() {
        let bound = socket.bind(from(server, how));
        bound.map_err(|e| AskError::unbound(server, how, &e))?;
    }
    match timeout(how.timeout, socket.connect(server)).await {
        Ok(connected) => {
            let stream = connected.map_err(|e| failed(&e))?;
            stream.set_nodelay(true).map_err(|e| failed(&e))?;
            Ok(stream)
        }
        Err(_) => Err(AskError::Timeout {
            server,
            after: how.timeout,
        }),
    }
}
