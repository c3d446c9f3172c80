//! Two streams as one.

use std::task::Poll;

use futures_lite::{Stream, StreamExt, stream};

/// What either stream gives, the first one's first, until both have ended. (`stream::or` ends with
/// its second stream, whatever the first still has to give.)
pub fn merged<T>(
    first: impl Stream<Item = T> + Unpin,
    second: impl Stream<Item = T> + Unpin,
) -> impl Stream<Item = T> {
    let (mut first, mut second) = (first.fuse(), second.fuse());
    stream::poll_fn(move |cx| match first.poll_next(cx) {
        Poll::Ready(None) => second.poll_next(cx),
        Poll::Pending => match second.poll_next(cx) {
            Poll::Ready(None) => Poll::Pending,
            item => item,
        },
        item => item,
    })
}

#[cfg(test)]
mod tests {
    use futures_lite::future::block_on;

    use super::*;

    /// Gives nothing at its first poll, as a pipe does whose bytes are still on their way.
    fn late(item: u8) -> impl Stream<Item = u8> + Unpin {
        let mut polls = 0;
        stream::poll_fn(move |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            match polls {
                1 => Poll::Pending,
                2 => Poll::Ready(Some(item)),
                _ => Poll::Ready(None),
            }
        })
    }

    #[test]
    fn the_end_of_one_is_not_the_end_of_both() {
        let all = |first: Vec<u8>, second: Vec<u8>| {
            let both = merged(stream::iter(first), stream::iter(second));
            block_on(both.collect::<Vec<_>>())
        };
        assert_eq!(all(vec![1, 2], vec![]), [1, 2]);
        assert_eq!(all(vec![], vec![3]), [3]);
        let ended = || stream::iter(Vec::new());
        assert_eq!(block_on(merged(late(1), ended()).collect::<Vec<_>>()), [1]);
        assert_eq!(block_on(merged(ended(), late(2)).collect::<Vec<_>>()), [2]);
    }
}
