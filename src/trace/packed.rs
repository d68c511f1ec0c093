//! Compressed data, told by its first bytes.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 64 * 1024;

/// Whether a zstd frame begins that is to be passed over: tools that pack in parallel begin with one.
fn is_skippable(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

/// A text as it is unpacked, and what it was packed with.
pub(crate) struct Unpacked {
    /// `gzip` or `zstd`; none where it was plain.
    pub(crate) kind: Option<&'static str>,
    /// The text.
    pub(crate) text: Box<dyn BufRead + Send + Sync>,
}

impl Unpacked {
    /// Of any reader, by its first bytes.
    pub(crate) fn new(input: impl Read + Send + Sync + 'static) -> io::Result<Unpacked> {
        let mut plain = BufReader::with_capacity(BUFFER_BYTES, input);
        let mut magic = Vec::new();
        plain
            .by_ref()
            .take(ZSTD_MAGIC.len() as u64)
            .read_to_end(&mut magic)?;
        let zstd = magic == ZSTD_MAGIC || is_skippable(&magic);
        let gzip = magic.starts_with(&GZIP_MAGIC);
        let whole = io::Cursor::new(magic).chain(plain);
        if gzip {
            let decoder = MultiGzDecoder::new(whole);
            return Ok(Unpacked {
                kind: Some("gzip"),
                text: Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)),
            });
        }
        if zstd {
            let decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            return Ok(Unpacked {
                kind: Some("zstd"),
                text: Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)),
            });
        }
        Ok(Unpacked {
            kind: None,
            text: Box::new(whole),
        })
    }
}
