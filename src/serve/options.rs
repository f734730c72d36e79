//! EDNS options (RFC 6891 §6.1.2): what a request's say to us, and what a response's say to the client.
//!
//! In: the data of a request's OPT; the facts to tell. Out: [`Options`]; the octets of a response's options, of a length
//! known beforehand. Never here: whether a client gets an option; that is `respond`.

use std::sync::Arc;

use super::cookie::Cookie;

/// Option codes that concern us (the registry of RFC 6891 §9).
const NSID: u16 = 3;
const COOKIE: u16 = 10;
const KEEPALIVE: u16 = 11;
const PADDING: u16 = 12;
const EXTENDED_ERROR: u16 = 15;
/// An option's code and length.
const HEAD: usize = 4;

/// What a request's options say. Unknown ones are ignored (RFC 6891 §6.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Asks who we are (RFC 5001).
    pub nsid: bool,
    /// Carries a cookie (RFC 7873); the first where there are several.
    pub cookie: Option<Cookie>,
    /// Asks how long the connection may be idle (RFC 7828).
    pub keepalive: bool,
    /// Is padded (RFC 7830).
    pub padded: bool,
}

/// The options do not fill their OPT, or one of them has no length that it can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOptions;

impl Options {
    /// Reads the data of an OPT of version 0.
    pub fn read(data: &[u8]) -> Result<Options, BadOptions> {
        let mut options = Options::default();
        each(data, |code, value| {
            match code {
                NSID => options.nsid = true,
                COOKIE if options.cookie.is_none() => {
                    options.cookie = Some(Cookie::read(value).ok_or(BadOptions)?);
                }
                KEEPALIVE => options.keepalive = true,
                PADDING => options.padded = true,
                _ => {}
            }
            Ok(())
        })?;
        Ok(options)
    }

    /// Says whether the options fill their OPT, which every version's do.
    pub fn are_whole(data: &[u8]) -> bool {
        each(data, |_, _| Ok(())).is_ok()
    }
}

fn each(
    data: &[u8],
    mut take: impl FnMut(u16, &[u8]) -> Result<(), BadOptions>,
) -> Result<(), BadOptions> {
    let mut rest = data;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(HEAD).ok_or(BadOptions)?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let (value, after) = after.split_at_checked(length).ok_or(BadOptions)?;
        take(u16::from_be_bytes([head[0], head[1]]), value)?;
        rest = after;
    }
    Ok(())
}

/// Why a response has its code (RFC 8914), for people who look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedError {
    /// The zone is ours and has no version yet.
    NotReady,
    /// This client may not have that.
    Prohibited,
    /// The name lies in no zone of ours.
    NotAuthoritative,
    /// We do not do such things.
    NotSupported,
}

impl ExtendedError {
    /// The number of RFC 8914 §5.2.
    pub fn code(self) -> u16 {
        match self {
            ExtendedError::NotReady => 14,
            ExtendedError::Prohibited => 18,
            ExtendedError::NotAuthoritative => 20,
            ExtendedError::NotSupported => 21,
        }
    }
}

/// What a response's options say, for a request that had an OPT.
#[derive(Clone, Debug, Default)]
pub struct Courtesies {
    /// Who we are; goes when space is short.
    pub nsid: Option<Arc<str>>,
    /// The client's cookie and ours.
    pub cookie: Option<[u8; 24]>,
    /// How long the connection may be idle, in tenths of a second.
    pub keepalive: Option<u16>,
    /// Why; goes when space is short.
    pub extended_error: Option<ExtendedError>,
    /// The message's length is brought to a multiple of this, as far as its limit lets.
    pub block: Option<usize>,
    /// Octets of the signature behind the last record: they are part of the message's length as well.
    pub signature: usize,
}

impl Courtesies {
    /// Those that no lack of space takes away.
    pub(super) fn needed(&self) -> Courtesies {
        Courtesies {
            nsid: None,
            cookie: self.cookie,
            keepalive: self.keepalive,
            extended_error: None,
            block: self.block,
            signature: self.signature,
        }
    }

    /// Their octets in an OPT, without padding.
    pub(super) fn length(&self) -> usize {
        let of = |length: Option<usize>| length.map_or(0, |length| HEAD + length);
        of(self.nsid.as_ref().map(|nsid| nsid.len()))
            + of(self.cookie.map(|cookie| cookie.len()))
            + of(self.keepalive.map(|_| 2))
            + of(self.extended_error.map(|_| 2))
    }

    /// Writes them behind the fixed part of an OPT that ends the message.
    pub(super) fn push(&self, limit: usize, out: &mut Vec<u8>) {
        let length_at = out.len();
        out.extend([0, 0]);
        if let Some(nsid) = &self.nsid {
            push(NSID, nsid.as_bytes(), out);
        }
        if let Some(cookie) = self.cookie {
            push(COOKIE, &cookie, out);
        }
        if let Some(tenths) = self.keepalive {
            push(KEEPALIVE, &tenths.to_be_bytes(), out);
        }
        if let Some(error) = self.extended_error {
            push(EXTENDED_ERROR, &error.code().to_be_bytes(), out);
        }
        if let Some(block) = self.block {
            let bare = out.len() + HEAD;
            let signed = (bare + self.signature).next_multiple_of(block);
            let padded = (signed - self.signature).min(limit);
            if let Some(zeros) = padded.checked_sub(bare) {
                out.extend(PADDING.to_be_bytes());
                out.extend(u16::try_from(zeros).unwrap_or(u16::MAX).to_be_bytes());
                out.resize(padded, 0);
            }
        }
        let length = u16::try_from(out.len() - length_at - 2).unwrap_or(u16::MAX);
        out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

fn push(code: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend(code.to_be_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(code, value, &mut out);
        out
    }

    #[test]
    fn a_malformed_cookie_is_an_error_and_unknown_options_are_nothing() {
        assert_eq!(Options::read(&[]), Ok(Options::default()));
        assert_eq!(
            Options::read(&option(65001, &[1, 2])),
            Ok(Options::default())
        );
        assert_eq!(Options::read(&option(COOKIE, &[1; 9])), Err(BadOptions));
        assert_eq!(Options::read(&option(COOKIE, &[])), Err(BadOptions));
        let all = [
            option(PADDING, &[0; 40]),
            option(COOKIE, &[1; 8]),
            option(COOKIE, &[2; 8]),
            option(NSID, &[]),
            option(KEEPALIVE, &[]),
        ]
        .concat();
        let read = Options::read(&all).unwrap();
        assert!(read.nsid && read.keepalive && read.padded);
        assert_eq!(read.cookie, Cookie::read(&[1; 8]));
    }

    proptest! {
        #[test]
        fn any_octets_are_read_without_a_fault(data: Vec<u8>) {
            let read = Options::read(&data);
            prop_assert!(read.is_err() || Options::are_whole(&data));
        }

        #[test]
        fn options_are_whole_exactly_when_they_fill_their_data(
            options in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..20)), 0..6),
            cut in 1_usize..5,
        ) {
            let data: Vec<u8> = options.iter().flat_map(|(code, value)| option(*code, value)).collect();
            prop_assert!(Options::are_whole(&data));
            let starts: Vec<usize> = options
                .iter()
                .scan(0, |at, (_, value)| { let here = *at; *at += HEAD + value.len(); Some(here) })
                .collect();
            if let Some(end) = data.len().checked_sub(cut) {
                prop_assert_eq!(Options::are_whole(&data[..end]), starts.contains(&end) || end == 0);
            }
        }

        #[test]
        fn what_is_written_has_the_length_said_and_is_read_back(
            nsid in prop::option::of("[a-z]{0,128}"),
            cookie: Option<[u8; 24]>,
            keepalive: Option<u16>,
            block in prop::option::of(1_usize..600),
            signature in 0_usize..400,
            before in 0_usize..2000,
        ) {
            let courtesies = Courtesies {
                nsid: nsid.as_deref().map(Arc::from),
                cookie,
                keepalive,
                extended_error: Some(ExtendedError::NotReady),
                block,
                signature,
            };
            let mut out = vec![0xaa; before];
            courtesies.push(65535, &mut out);
            let data = &out[before + 2..];
            prop_assert_eq!(usize::from(u16::from_be_bytes([out[before], out[before + 1]])), data.len());
            match block {
                None => prop_assert_eq!(data.len(), courtesies.length()),
                Some(block) => prop_assert_eq!((out.len() + signature) % block, 0),
            }
            let read = Options::read(data).unwrap();
            prop_assert_eq!(read.nsid, nsid.is_some());
            prop_assert_eq!(read.cookie.is_some(), cookie.is_some());
            prop_assert_eq!(read.keepalive, keepalive.is_some());
            prop_assert_eq!(read.padded, block.is_some());
        }

        #[test]
        fn padding_keeps_the_limit(before in 0_usize..2000, limit in 0_usize..2000) {
            let mut out = vec![0; before];
            let courtesies = Courtesies { block: Some(468), ..Courtesies::default() };
            courtesies.push(limit, &mut out);
            prop_assert!(out.len() <= limit.max(before + 2));
        }
    }
}
