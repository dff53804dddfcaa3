//! The SHA-256 of a source, of a copy that is read back, and of a file that was fetched.

use std::{io, path::Path, thread};

use sha2::Digest as _;
use tokio::sync::oneshot;

use super::{
    blocks::Whole,
    source::{Source, SourceError},
};
use crate::{units::ByteSize, upload::Sha256};

/// Sums bytes up as they pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Summing(sha2::Sha256);

impl Summing {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Sha256 {
        Sha256::from(<[u8; 32]>::from(self.0.finalize()))
    }
}

impl io::Write for Summing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads the source once, on a thread of its own, and says what it is.
///
/// A store takes metadata when a copy is begun, before the last byte of it was read: so what goes
/// into the metadata has to be known beforehand. The readings that follow have to give the same.
pub(super) async fn of_source(source: &Source, part_size: ByteSize) -> Result<(Sha256, Whole), SourceError> {
    let unreadable =
        |source_error| SourceError::Unreadable { path: source.path().to_owned(), source: source_error };
    let (reader, (send, summed)) = (source.clone(), oneshot::channel());
    let read = move || {
        let mut sum = Summing::default();
        let whole = reader.read(part_size, |block| {
            sum.update(&block.bytes);
            std::ops::ControlFlow::Continue(())
        });
        let _ = send.send(whole.map(|whole| whole.map(|whole| (sum.finish(), whole))));
    };
    thread::Builder::new().name("sealane-sha256".to_owned()).spawn(read).map_err(unreadable)?;
    let early = || unreadable(io::Error::other("the thread that sums it up ended early"));
    summed.await.map_err(|_| early())??.ok_or_else(early)
}

/// Sums up a file. Blocks on the file system.
pub(super) fn of_file(path: &Path) -> io::Result<Sha256> {
    let mut sum = Summing::default();
    io::copy(&mut std::fs::File::open(path)?, &mut sum)?;
    Ok(sum.finish())
}
