//! The documents that were in force last, on disk: what a node serves on when it starts without the control plane.

use crate::data_dir::replace_file;
use prost::Message as _;
use seawall_control_protocol::{Document, documents, wire};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const FILE: &str = "last-good";
const MAGIC: &[u8; 5] = b"SWLG\x01";

/// The file.
#[derive(Debug)]
pub(crate) struct LastGood {
    dir: PathBuf,
}

impl LastGood {
    pub(crate) fn open(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// What was stored; nothing where there is none, or where it cannot be trusted, which is said.
    pub(crate) fn load(&self) -> BTreeMap<String, Document> {
        let path = self.dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return BTreeMap::new(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the last good state cannot be read");
                return BTreeMap::new();
            }
        };
        read(&bytes).unwrap_or_else(|| {
            tracing::warn!(path = %path.display(), "the last good state is damaged and not used");
            BTreeMap::new()
        })
    }

    /// Replaces it; after a crash it is the old state or the new one.
    pub(crate) fn store(&self, documents: &BTreeMap<String, Document>) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        let wire = wire::Documents {
            documents: documents.values().map(Into::into).collect(),
            more: false,
        };
        bytes.extend(wire.encode_to_vec());
        let sum = xxh3_64(&bytes);
        bytes.extend(sum.to_le_bytes());
        replace_file(&self.dir, &self.dir.join(FILE), &bytes, 0o600)
    }
}

fn read(bytes: &[u8]) -> Option<BTreeMap<String, Document>> {
    let (content, sum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(content) != u64::from_le_bytes(*sum) {
        return None;
    }
    let wire = wire::Documents::decode(content.strip_prefix(MAGIC)?).ok()?;
    let documents = documents::documents(wire).ok()?;
    let by_name = documents.into_iter().map(|d| (d.name.clone(), d));
    Some(by_name.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_good_state_is_read_back_and_a_damaged_one_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let last_good = LastGood::open(dir.path());
        assert!(last_good.load().is_empty());
        let document = Document {
            name: "services/shop".into(),
            generation: 3,
            body: Some(b"[service]".to_vec()),
        };
        let documents = BTreeMap::from([(document.name.clone(), document)]);
        last_good.store(&documents).unwrap();
        assert_eq!(last_good.load(), documents);

        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            assert!(last_good.load().is_empty());
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(last_good.load().is_empty());
        }
    }
}
