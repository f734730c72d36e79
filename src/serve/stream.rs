//! A conversation on a stream, whatever carries it: messages with their lengths before them (RFC 1035 §4.2.2).
//!
//! In: a connection that has its place. Out: an answer to each request, in order, as many as the client sends at once;
//! an answer may be one message or many. A client that does not take them is waited for, within limits, and no more
//! than a little is gathered meanwhile. Never here: accepting, TLS, what is answered.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::budget::{ConnectionBudget, RequestCharge, SMALL_REQUEST};
use super::hall::Hall;
use super::peer::{Outcome, Peer};
use super::respond::Responses;
use super::transfer::Transfer;

/// Messages are gathered up to this many octets before they are written.
const GATHER: usize = 1 << 16;
/// Space for what may arrive next, in octets.
const SPACE: usize = 4096;

/// Why a conversation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client closed, was idle, or the server stops.
    Over,
    /// The client took too long in the middle of something.
    TooSlow,
    /// All connections together hold too many octets.
    OverBudget,
    /// The connection broke, or what came is no DNS.
    Broken,
}

/// Answers what comes until the conversation ends, and closes in good order where that is owed.
pub(super) async fn converse<S>(stream: S, peer: Peer, hall: &Hall, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut conversation = Conversation {
        stream,
        peer,
        hall,
        budget: hall.budget.connection(),
        response: Vec::new(),
        gathered: Vec::new(),
        transferring: false,
    };
    match conversation.answer_all(&mut stop).await {
        End::Over => {
            // On TLS this says close_notify (RFC 8446 §6.1): the client knows that nothing was cut off.
            let _ = timeout(hall.limits.write, conversation.stream.shutdown()).await;
        }
        End::TooSlow => hall.counters.tcp_too_slow(),
        End::OverBudget => hall.counters.over_budget(),
        End::Broken => {}
    }
}

struct Conversation<'a, S> {
    stream: S,
    peer: Peer,
    hall: &'a Hall,
    budget: ConnectionBudget,
    /// The message being written, kept for its room.
    response: Vec<u8>,
    /// Messages with their lengths, not yet written to the stream.
    gathered: Vec<u8>,
    /// Whether they are those of a transfer.
    transferring: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Conversation<'_, S> {
    async fn answer_all(&mut self, stop: &mut watch::Receiver<bool>) -> End {
        let hall = self.hall;
        let mut inbox: Vec<u8> = Vec::with_capacity(SPACE);
        let mut charge: Option<RequestCharge> = None;
        let mut deadline = None;
        loop {
            let mut used = 0;
            while let Some(request) = whole_request(&inbox[used..]) {
                if let Err(end) = self.answer(request).await {
                    return end;
                }
                used += 2 + request.len();
            }
            if used > 0 {
                inbox.drain(..used);
                deadline = None;
                // What is idle keeps little.
                inbox.shrink_to(SPACE);
                charge = None;
            }
            if let Err(end) = self.flush().await {
                return end;
            }
            self.response.shrink_to(SPACE);
            self.gathered.shrink_to(SPACE);
            // A few clients that never cease to ask must not keep all others out: who has got answers makes room
            // (RFC 7766 §6.2.3).
            if used > 0 && hall.is_waited_for() {
                return End::Over;
            }
            let stopping = *stop.borrow();
            if stopping && inbox.is_empty() {
                return End::Over;
            }
            // One deadline for a whole request: octets that drip in do not move it.
            let until =
                *deadline.get_or_insert_with(|| Instant::now() + hall.patience(!inbox.is_empty()));
            let until = if stopping {
                until.min(Instant::now() + hall.limits.drain)
            } else {
                until
            };
            let was_empty = inbox.is_empty();
            if inbox.capacity() - inbox.len() < SPACE {
                // In steps: the allocator's own growth may double what is counted.
                inbox.reserve_exact(SPACE);
            }
            if inbox.len() > SMALL_REQUEST {
                let counted = charge.get_or_insert_with(|| self.budget.request());
                if counted.grow_to(inbox.len()).is_err() {
                    return End::OverBudget;
                }
            }
            let read = tokio::select! {
                read = timeout_at(until, self.stream.read_buf(&mut inbox)) => read,
                _ = stop.wait_for(|stop| *stop), if !stopping => continue,
            };
            match read {
                Ok(Ok(0)) => return if was_empty { End::Over } else { End::Broken },
                Ok(Ok(_)) => {
                    if was_empty {
                        deadline = None;
                    }
                }
                Ok(Err(_)) => return End::Broken,
                Err(_) if was_empty => return End::Over,
                Err(_) => return End::TooSlow,
            }
        }
    }

    /// Answers one request, with as many messages as it takes.
    async fn answer(&mut self, request: &[u8]) -> Result<(), End> {
        let hall = self.hall;
        let peer = Peer {
            idle: Some(hall.patience(false)),
            ..self.peer
        };
        let outcome = match hall.respond_or_transfer(request, peer, &mut self.response) {
            Responses::One(outcome) => outcome,
            Responses::Many(transfer) => return self.transfer(*transfer).await,
            Responses::Later(deferred) => {
                let read_now = &hall.authority.read_now;
                let outcome = deferred
                    .finish(|| read_now().wall, &mut self.response)
                    .await;
                hall.counters.count(peer.transport, &outcome);
                outcome
            }
        };
        if outcome == Outcome::Silent {
            // What was no request is no DNS: whatever follows is not waited for.
            self.flush().await?;
            return Err(End::Broken);
        }
        self.send().await
    }

    /// Sends a transfer, and notes how it ended. One that takes too long in all is given up, so that nobody keeps a place
    /// that others wait for.
    async fn transfer(&mut self, mut transfer: Transfer) -> Result<(), End> {
        let (counters, read_now) = (&self.hall.counters, &self.hall.authority.read_now);
        self.transferring = true;
        let sent = timeout(self.hall.limits.transfer, self.send_all(&mut transfer)).await;
        self.transferring = false;
        let sent = sent.unwrap_or(Err(End::TooSlow));
        if sent.is_err() {
            counters.transfers_broken();
        }
        transfer.end(sent.is_ok(), read_now().wall);
        sent
    }

    /// Sends all messages of a transfer. The client's pace is ours: no more than a little is gathered for one that does not
    /// take them, and one that takes nothing for long is given up.
    async fn send_all(&mut self, transfer: &mut Transfer) -> Result<(), End> {
        let read_now = &self.hall.authority.read_now;
        while transfer.next(read_now().wall, &mut self.response) {
            self.send().await?;
        }
        // What was gathered last is written now, so that a transfer that is told to be whole has been taken.
        self.flush().await
    }

    /// Sends the message in `response` after those before it, as soon as it is worth a write. Waits while the client
    /// takes what was sent earlier: whoever produces many messages is held to the client's pace.
    async fn send(&mut self) -> Result<(), End> {
        // No message is longer: that is its writer's limit.
        let length = u16::try_from(self.response.len()).unwrap_or(u16::MAX);
        self.gathered.extend(length.to_be_bytes());
        self.gathered.extend(&self.response);
        if self.gathered.len() < GATHER {
            return Ok(());
        }
        self.flush().await
    }

    /// Writes what was gathered.
    async fn flush(&mut self) -> Result<(), End> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let kept = self.gathered.len() + self.response.len();
        let write = async {
            self.stream.write_all(&self.gathered).await?;
            self.stream.flush().await
        };
        let mut write = std::pin::pin!(write);
        // Most clients have taken everything with the first try. Only what remains counts.
        let written = match timeout(Duration::ZERO, &mut write).await {
            Ok(written) => Ok(written),
            // Transfers have a limit of their own: only secondaries get them, a few at once.
            Err(_) if self.transferring => timeout(self.hall.limits.write, write).await,
            Err(_) => {
                let _permit = self.budget.untaken(kept).map_err(|_| End::OverBudget)?;
                timeout(self.hall.write_patience(), write).await
            }
        };
        self.gathered.clear();
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Broken),
            Err(_) => Err(End::TooSlow),
        }
    }
}

/// The first request of what has arrived, without its length, once all of it is there.
fn whole_request(inbox: &[u8]) -> Option<&[u8]> {
    let (length, rest) = inbox.split_first_chunk::<2>()?;
    rest.get(..usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::time::Duration;

    use arc_swap::ArcSwap;
    use hickory_proto::rr::RecordType;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::sleep;

    use super::super::authority::{Authority, Manners};
    use super::super::counters::Counters;
    use super::super::hall::TcpLimits;
    use super::super::peer::Transport;
    use super::super::transfer::{Berths, Transfers};
    use super::*;
    use crate::clock::{Mono, Now, Wall};
    use crate::config::Secondary;
    use crate::decide::Generation;
    use crate::zone::{Name, OwnedRecord, Rdata, ZoneVersion, Zones};

    fn name(text: &str) -> Name {
        Name::from_text(text.as_bytes(), None).unwrap()
    }

    /// A zone of about a megabyte.
    fn large_zone() -> Zones {
        let apex = name("contoso.com.");
        let record = |owner: Name, rtype, wire: &[u8]| OwnedRecord {
            owner,
            rtype,
            ttl: 60,
            rdata: Rdata::new(rtype, wire).unwrap(),
        };
        let soa = [&[0, 0][..], &1_u32.to_be_bytes().repeat(5)].concat();
        let text = [&[250][..], &[b'x'; 250]].concat();
        let hosts = (0..4000).map(|n| name(&format!("h{n}.contoso.com.")));
        let texts = hosts.map(|host| record(host, RecordType::TXT, &text));
        let records = std::iter::once(record(apex.clone(), RecordType::SOA, &soa)).chain(texts);
        let version = ZoneVersion::from_records(&apex, records, Vec::new()).unwrap();
        Zones::restored(Generation(1), [version], true)
    }

    fn hall(limits: TcpLimits, berths: &Berths) -> Hall {
        let secondary = Secondary {
            name: "ns2".into(),
            address: "192.0.2.53:53".parse().unwrap(),
            allow: ["192.0.2.53".parse().unwrap()].into(),
            tsig: None,
            zones: None,
            source: None,
        };
        let manners = Manners {
            transfers: Transfers {
                secondaries: vec![Arc::new(secondary)],
                berths: berths.clone(),
            },
            ..Manners::default()
        };
        let now = Now {
            mono: Mono::START,
            wall: Wall::from_millis(1_795_230_000_000),
        };
        let zones = Arc::new(ArcSwap::from_pointee(large_zone()));
        let authority = Authority {
            manners: Arc::new(ArcSwap::from_pointee(manners)),
            ..Authority::new(zones, Arc::new(move || now))
        };
        Hall::new(limits, authority, Arc::new(Counters::default()))
    }

    /// Asks for the zone and takes a little of it again and again; what came, in octets.
    async fn take_slowly(limits: TcpLimits) -> (usize, Berths) {
        let berths = Berths::default();
        let hall = hall(limits, &berths);
        let (mut client, server) = tokio::io::duplex(1024);
        let peer = Peer {
            address: "192.0.2.53:40000".parse().unwrap(),
            transport: Transport::Tcp,
            idle: None,
        };
        let mut question = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        question.extend(name("contoso.com.").wire());
        question.extend([0, 252, 0, 1]);
        let length = u16::try_from(question.len()).unwrap();
        let request = [&length.to_be_bytes()[..], &question].concat();
        let (_stop, stopped) = watch::channel(false);
        let taking = async {
            client.write_all(&request).await.unwrap();
            let mut taken = 0;
            let mut octets = vec![0; 1024];
            loop {
                match client.read(&mut octets).await {
                    Ok(0) | Err(_) => return taken,
                    Ok(read) => taken += read,
                }
                // The last message is there: what follows is up to us.
                if taken > 1_050_000 {
                    return taken;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let (taken, ()) = tokio::join!(taking, converse(server, peer, &hall, stopped));
        (taken, berths)
    }

    #[tokio::test]
    async fn a_transfer_that_is_taken_drop_by_drop_ends_and_gives_its_place_back() {
        let limits = TcpLimits {
            write: Duration::from_secs(60),
            transfer: Duration::from_millis(300),
            ..TcpLimits::default()
        };
        let (taken, berths) = take_slowly(limits).await;
        assert!((1..1_000_000).contains(&taken), "{taken}");
        assert_eq!(berths.under_way(), 0);
        let last = berths.last("ns2", &name("contoso.com.")).unwrap();
        assert!(!last.whole);
    }
}
