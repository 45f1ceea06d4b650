//! Requests of SOCKS4 and 4A, beside a second parser that splits at the NULs.

use std::net::{IpAddr, Ipv4Addr};

use anklet::wire::Reader;
use anklet::wire::socks::{Address, Malformed, Name, Request};
use anklet::wire::socks4;

/// More than the longest request.
const INPUT_MAX: usize = 600;

/// The longest text, without its end.
const TEXT_MAX: usize = 255;

pub fn target(data: &[u8]) {
    let data = &data[..data.len().min(INPUT_MAX)];
    let whole = parse(data);
    match &whole {
        Some(Ok((_, used))) => assert!(*used <= data.len()),
        Some(Err(_)) => {}
        None => assert!(data.len() < 8 + 2 * (TEXT_MAX + 1)),
    }
    let (model, model_used) = model(data);
    match (whole, model) {
        (Some(Ok((request, used))), Some(Ok((address, port)))) => {
            assert_eq!((request.address, request.port), (address, port));
            assert_eq!(used, model_used);
            // What is behind it changes nothing, and nothing less is enough.
            for len in 0..used {
                assert!(parse(&data[..len]).is_none());
            }
            assert!(parse(&data[..used]).is_some());
        }
        (Some(Err(error)), Some(Err(expected))) => assert_eq!(error, expected),
        (None, None) => {}
        (parsed, expected) => panic!("{parsed:?}, not {expected:?}"),
    }
}

type Outcome<T> = Option<Result<T, Malformed>>;

fn parse(bytes: &[u8]) -> Outcome<(Request, usize)> {
    let mut reader = Reader::new(bytes);
    let request = socks4::read(&mut reader)?;
    Some(request.map(|request| (request, reader.consumed())))
}

/// Address and port, and the number of bytes up to there.
fn model(data: &[u8]) -> (Outcome<(Address, u16)>, usize) {
    match data.first() {
        None => return (None, 0),
        Some(4) => {}
        Some(_) => return (Some(Err(Malformed::Version)), 1),
    }
    let Some((head, texts)) = data.split_at_checked(8) else {
        return (None, 0);
    };
    let port = u16::from(head[2]) << 8 | u16::from(head[3]);
    let octets = [head[4], head[5], head[6], head[7]];
    let is_named = head[4..7] == [0, 0, 0] && head[7] > 0;
    let mut used = 8;
    let mut texts = texts.split_inclusive(|byte| *byte == 0);
    let mut next = || {
        let text = texts.next().unwrap_or_default();
        used += text.len();
        match text.strip_suffix(&[0]) {
            Some(text) if text.len() <= TEXT_MAX => Some(Ok(text)),
            None if text.len() <= TEXT_MAX => None,
            _ => Some(Err(Malformed::TooLong)),
        }
    };
    let address = match next() {
        None => None,
        Some(Err(error)) => Some(Err(error)),
        Some(Ok(_)) if is_named => next().map(|name| name.and_then(named)),
        Some(Ok(_)) => Some(Ok(Address::Ip(Ipv4Addr::from(octets).into()))),
    };
    (
        address.map(|address| address.map(|address| (address, port))),
        used,
    )
}

/// A name, or the address that it spells.
fn named(text: &[u8]) -> Result<Address, Malformed> {
    let spelled = std::str::from_utf8(text).ok().and_then(|text| {
        let bare = text
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        match bare {
            Some(bare) => bare.parse().ok().filter(IpAddr::is_ipv6),
            None => text.parse().ok(),
        }
    });
    match spelled {
        Some(addr) => Ok(Address::Ip(addr.to_canonical())),
        None => Name::new(text).map(Address::Name),
    }
}
