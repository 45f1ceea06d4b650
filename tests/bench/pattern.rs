//! The bytes that are sent and compared: every tunnel has a place of its own in one block, so that
//! bytes that are lost, doubled, moved or another tunnel's show.

/// The block repeats behind so many bytes: a prime, so that no buffer's size divides it.
const PERIOD: usize = 65_521;

/// The most bytes that are sent or compared in one piece.
pub(crate) const PIECE_MAX: usize = 128 << 10;

/// The bytes of all streams.
pub(crate) struct Pattern(Vec<u8>);

impl Pattern {
    /// The block, and as much of it again as the longest piece needs.
    pub(crate) fn new() -> Self {
        let mut rng = fastrand::Rng::with_seed(1928);
        let block: Vec<u8> = (0..PERIOD).map(|_| rng.u8(..)).collect();
        let bytes = block.iter().cycle().take(PERIOD + PIECE_MAX).copied();
        Self(bytes.collect())
    }

    /// The `len` bytes of stream number `stream` behind its first `at`.
    pub(crate) fn piece(&self, stream: usize, at: u64, len: usize) -> &[u8] {
        let period = PERIOD as u64;
        let start = (stream as u64 * 7_919 % period + at % period) % period;
        let start = usize::try_from(start).expect("less than the period");
        &self.0[start..start + len.min(PIECE_MAX)]
    }
}

#[test]
fn a_piece_goes_on_where_the_one_before_ended_and_each_stream_is_another() {
    let pattern = Pattern::new();
    let whole = pattern.piece(3, 1_000, 60_000).to_vec();
    let parts = [
        pattern.piece(3, 1_000, 59_000),
        pattern.piece(3, 60_000, 1_000),
    ];
    assert_eq!(whole, parts.concat());
    let far = PERIOD as u64 * 5 + 1_000;
    assert_eq!(pattern.piece(3, far, 60_000), whole);
    assert_ne!(pattern.piece(4, 1_000, 16), &whole[..16]);
}
