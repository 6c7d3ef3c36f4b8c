//! `Range` of one part (RFC 9110, section 14), for sources that know it and for those that do not.

use futures_util::{StreamExt, stream};

use super::Body;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// From this byte to the end, or to that byte.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

/// The bytes `first..=last` of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub first: u64,
    pub last: u64,
    pub total: u64,
}

impl Asked {
    /// `None` for what is not one range of bytes: the whole is then the answer.
    pub fn parse(header: &str) -> Option<Asked> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", last) => last.parse().ok().map(Asked::Last),
            (first, "") => first.parse().ok().map(|f| Asked::From(f, None)),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                (first <= last).then_some(Asked::From(first, Some(last)))
            }
        }
    }

    pub fn header(&self) -> String {
        match self {
            Asked::From(first, Some(last)) => format!("bytes={first}-{last}"),
            Asked::From(first, None) => format!("bytes={first}-"),
            Asked::Last(n) => format!("bytes=-{n}"),
        }
    }

    /// The part of `total` bytes that this is; `None`: there is nothing of it.
    pub fn of(&self, total: u64) -> Option<Part> {
        let end = total.checked_sub(1)?;
        let (first, last) = match *self {
            Asked::From(first, last) => (first, last.unwrap_or(end).min(end)),
            Asked::Last(0) => return None,
            Asked::Last(n) => (total.saturating_sub(n), end),
        };
        (first <= last).then_some(Part { first, last, total })
    }
}

impl Part {
    pub fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// `bytes 0-99/1000`
    pub fn header(&self) -> String {
        format!("bytes {}-{}/{}", self.first, self.last, self.total)
    }

    pub fn parse(header: &str) -> Option<Part> {
        let (range, total) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let part = Part { first: first.parse().ok()?, last: last.parse().ok()?, total: total.parse().ok()? };
        (part.first <= part.last && part.last < part.total).then_some(part)
    }

    /// The total of an unsatisfied `bytes */1000`.
    pub fn total_of(header: &str) -> Option<u64> {
        header.split_once('/')?.1.trim().parse().ok()
    }
}

/// The part of a whole body.
pub fn slice(body: Body, part: Part) -> Body {
    let state = (body, part.first, part.length());
    Box::pin(stream::unfold(state, |(mut body, mut skip, mut left)| async move {
        while left > 0 {
            let chunk = match body.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (body, 0, 0))),
            };
            let drop = skip.min(chunk.len() as u64);
            skip -= drop;
            let mut rest = chunk.slice(drop as usize..);
            if rest.is_empty() {
                continue;
            }
            rest.truncate(left.min(rest.len() as u64) as usize);
            left -= rest.len() as u64;
            return Some((Ok(rest), (body, skip, left)));
        }
        None
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    #[rstest::rstest]
    #[case("bytes=0-99", Some(Asked::From(0, Some(99))))]
    #[case("bytes=5-", Some(Asked::From(5, None)))]
    #[case("bytes=-7", Some(Asked::Last(7)))]
    #[case("bytes=9-5", None)]
    #[case("bytes=0-1,5-6", None)]
    #[case("items=0-1", None)]
    fn reads_a_range(#[case] header: &str, #[case] asked: Option<Asked>) {
        assert_eq!(Asked::parse(header), asked);
    }

    proptest! {
        #[test]
        fn a_part_is_what_slicing_the_bytes_gives(data in proptest::collection::vec(any::<u8>(), 0..200), cuts in proptest::collection::vec(1usize..40, 0..8), first in 0u64..220, last in 0u64..220, suffix: bool) {
            let asked = if suffix { Asked::Last(last) } else { Asked::From(first, (last >= first).then_some(last)) };
            let Some(part) = asked.of(data.len() as u64) else {
                prop_assert!(data.is_empty() || (suffix && last == 0) || (!suffix && first >= data.len() as u64));
                return Ok(());
            };
            let mut chunks = Vec::new();
            let mut rest = data.as_slice();
            for cut in cuts {
                let (head, tail) = rest.split_at(cut.min(rest.len()));
                chunks.push(Ok(Bytes::copy_from_slice(head)));
                rest = tail;
            }
            chunks.push(Ok(Bytes::copy_from_slice(rest)));
            let body: Body = Box::pin(stream::iter(chunks));
            let got: Vec<u8> = futures_util::FutureExt::now_or_never(slice(body, part).map(|c| c.unwrap().to_vec()).concat()).unwrap();
            prop_assert_eq!(&got, &data[part.first as usize..=part.last as usize]);
            prop_assert_eq!(Part::parse(&part.header()), Some(part));
        }
    }
}
