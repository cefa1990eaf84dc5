//! The keys that receipts are signed with: one that signs, and those before it, of which the public half is kept.
//!
//! They are documents of the store, whose file only its owner may read: a backup holds them, and a restored control plane
//! signs on with the key of the backup.

use crate::services::{decode, encode};
use crate::signed::{self, PublicKey};
use crate::store::{Expect, Store, StoreError};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::RwLock;

const PREFIX: &str = "keys/";
/// Keys that are known; more are refused, lest one that receipts were signed with be forgotten.
pub const KEYS_MAX: usize = 1000;
const SEED_BYTES: usize = 32;

/// One key as it is kept, in the words of RFC 8037.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    x: String,
    /// The private half. Not there: another key has taken its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    d: Option<String>,
    from_ms: u64,
}

/// The key that signs.
struct Signing {
    pair: Ed25519KeyPair,
    id: String,
    from_ms: u64,
    /// The moment of its last receipt: the next key begins after it.
    last_ms: AtomicU64,
}

struct Held {
    /// By the times they were made; the last one signs.
    public: Vec<PublicKey>,
    signing: Signing,
}

/// All keys.
pub struct Keys {
    store: Arc<dyn Store>,
    /// Held over a change: no receipt is signed by a key after it was replaced.
    held: RwLock<Held>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there are {KEYS_MAX} keys, and none is forgotten")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keys {
    /// Reads the keys; makes the first one where there is none.
    pub async fn open(store: Arc<dyn Store>, now_ms: u64) -> Result<Self, StoreError> {
        let mut kept: Vec<(String, Kept)> = Vec::new();
        for document in store.list(PREFIX).await?.documents {
            let key = decode(&document)?;
            kept.push((document.key[PREFIX.len()..].to_owned(), key));
        }
        kept.sort_by_key(|(_, key)| key.from_ms);
        if kept.is_empty() {
            kept.push(make(store.as_ref(), now_ms).await?);
        }
        let mut public = Vec::new();
        for (id, key) in &kept {
            public.push(
                key.public()
                    .filter(|public| public.id == *id)
                    .ok_or_else(|| {
                        StoreError::Corrupt(format!("{PREFIX}{id}: it is no key, or another one's"))
                    })?,
            );
        }
        close(&mut public);
        let Some((id, last)) = kept.pop() else {
            return Err(StoreError::Unavailable);
        };
        // what a crash has left of a rotation
        for (id, before) in kept {
            forget(store.as_ref(), &id, before).await?;
        }
        let signing = last.signing(&id).ok_or_else(|| {
            StoreError::Corrupt(format!("{PREFIX}{id}: its halves do not belong together"))
        })?;
        Ok(Self {
            store,
            held: RwLock::new(Held { public, signing }),
        })
    }

    /// The public keys, in the order in which they were made; the last one signs now.
    pub async fn list(&self) -> Vec<PublicKey> {
        self.held.read().await.public.clone()
    }

    /// Signs what `receipt` makes of the moment (Unix milliseconds), which is never before the key was made.
    pub async fn sign<E>(
        &self,
        receipt: impl FnOnce(u64) -> Result<Value, E>,
    ) -> Result<String, E> {
        let held = self.held.read().await;
        let Signing {
            pair,
            id,
            from_ms,
            last_ms,
        } = &held.signing;
        let now_ms = crate::plane::unix_ms().max(*from_ms);
        last_ms.fetch_max(now_ms, Ordering::Relaxed);
        Ok(signed::sign(pair, id, &receipt(now_ms)?))
    }

    /// Has a new key sign from now on. The private half of the one before is deleted; its public half stays known.
    pub async fn rotate(&self, now_ms: u64) -> Result<PublicKey, KeyError> {
        let mut held = self.held.write().await;
        if held.public.len() >= KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let last_ms = held.signing.last_ms.load(Ordering::Relaxed);
        let now_ms = now_ms.max(last_ms + 1);
        let (id, kept) = make(self.store.as_ref(), now_ms).await?;
        // both halves were made just now
        let (Some(public), Some(signing)) = (kept.public(), kept.signing(&id)) else {
            return Err(StoreError::Unavailable.into());
        };
        let before = std::mem::replace(&mut held.signing, signing);
        held.public.push(public.clone());
        close(&mut held.public);
        let old = Kept {
            x: signed::encode(before.pair.public_key().as_ref()),
            d: None,
            from_ms: before.from_ms,
        };
        if let Err(error) = forget(self.store.as_ref(), &before.id, old).await {
            tracing::warn!(%error, "a replaced key stays in the store until the next start");
        }
        Ok(public)
    }
}

impl Kept {
    fn public(&self) -> Option<PublicKey> {
        let bytes = signed::decode(&self.x)?.try_into().ok()?;
        Some(PublicKey::new(bytes, Some(self.from_ms), None))
    }

    fn signing(&self, id: &str) -> Option<Signing> {
        let seed = signed::decode(self.d.as_deref()?)?;
        let public = signed::decode(&self.x)?;
        let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &public).ok()?;
        Some(Signing {
            pair,
            id: id.to_owned(),
            from_ms: self.from_ms,
            last_ms: AtomicU64::new(self.from_ms),
        })
    }
}

/// A key signs until the next one is made; one millisecond is of one key alone.
fn close(keys: &mut [PublicKey]) {
    let mut next = None;
    for key in keys.iter_mut().rev() {
        key.until_ms = next;
        next = key.from_ms.map(|from| from.saturating_sub(1));
    }
}

/// Draws a key; durable when this returns.
async fn make(store: &dyn Store, now_ms: u64) -> Result<(String, Kept), StoreError> {
    let mut seed = [0; SEED_BYTES];
    getrandom::fill(&mut seed).map_err(|_| StoreError::Unavailable)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| StoreError::Unavailable)?;
    let kept = Kept {
        x: signed::encode(pair.public_key().as_ref()),
        d: Some(signed::encode(&seed)),
        from_ms: now_ms,
    };
    let public = kept.public().ok_or(StoreError::Unavailable)?;
    let key = format!("{PREFIX}{}", public.id);
    store.put(&key, encode(&kept), Expect::Absent).await?;
    Ok((public.id, kept))
}

/// Lets go of a key's private half.
async fn forget(store: &dyn Store, id: &str, mut kept: Kept) -> Result<(), StoreError> {
    let there = kept.d.take().is_some();
    let known = store.get(&format!("{PREFIX}{id}")).await?;
    let holds = known
        .map(|document| decode::<Kept>(&document))
        .transpose()?;
    if there || holds.is_some_and(|kept| kept.d.is_some()) {
        let key = format!("{PREFIX}{id}");
        store.put(&key, encode(&kept), Expect::Any).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signed::verify;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;
    use serde_json::json;

    fn store() -> Arc<dyn Store> {
        Arc::new(MemoryStore::new(Epoch(1)))
    }

    async fn receipt(keys: &Keys) -> String {
        let receipt = |now_ms| Ok::<_, ()>(json!({ "form": 1, "computed_ms": now_ms }));
        keys.sign(receipt).await.unwrap()
    }

    async fn private_halves(store: &dyn Store) -> usize {
        let documents = store.list(PREFIX).await.unwrap().documents;
        let kept = documents.iter().map(|d| decode::<Kept>(d).unwrap());
        kept.filter(|kept| kept.d.is_some()).count()
    }

    #[tokio::test]
    async fn the_first_start_makes_a_key_and_later_ones_sign_with_it() {
        let store = store();
        let first = Keys::open(store.clone(), 1).await.unwrap();
        let signed = receipt(&first).await;
        let again = Keys::open(store, 2).await.unwrap();
        assert_eq!(first.list().await, again.list().await);
        assert!(verify(&signed, &again.list().await).is_ok());
        assert!(verify(&receipt(&again).await, &first.list().await).is_ok());
    }

    #[tokio::test]
    async fn a_key_that_was_replaced_is_known_and_signs_nothing_any_more() {
        let store = store();
        let keys = Keys::open(store.clone(), 1).await.unwrap();
        let before = receipt(&keys).await;
        let fresh = keys.rotate(crate::plane::unix_ms()).await.unwrap();
        let after = receipt(&keys).await;
        for keys in [keys, Keys::open(store.clone(), 3).await.unwrap()] {
            let known = keys.list().await;
            assert_eq!(known.len(), 2);
            assert_eq!(known[0].until_ms.unwrap() + 1, known[1].from_ms.unwrap());
            assert_eq!(verify(&after, &known).unwrap().key, fresh.id);
            assert_eq!(verify(&before, &known).unwrap().key, known[0].id);
        }
        assert_eq!(private_halves(store.as_ref()).await, 1);
    }

    #[tokio::test]
    async fn what_a_crash_leaves_of_a_rotation_is_done_by_the_next_start() {
        let store = store();
        Keys::open(store.clone(), 1).await.unwrap();
        // the new one was written, and the one before not yet
        let (id, _) = make(store.as_ref(), 5).await.unwrap();
        let keys = Keys::open(store.clone(), 6).await.unwrap();
        assert_eq!(
            verify(&receipt(&keys).await, &keys.list().await)
                .unwrap()
                .key,
            id
        );
        assert_eq!(private_halves(store.as_ref()).await, 1);
    }

    #[tokio::test]
    async fn a_key_of_another_name_or_with_a_foreign_half_is_damage() {
        for damage in [0, 1] {
            let store = store();
            Keys::open(store.clone(), 1).await.unwrap();
            let document = store.list(PREFIX).await.unwrap().documents.remove(0);
            let mut kept: Kept = decode(&document).unwrap();
            if damage == 0 {
                kept.d = Some(signed::encode(&[7; 32]));
            } else {
                kept.x = signed::encode(&[7; 32]);
            }
            store
                .put(&document.key, encode(&kept), Expect::Any)
                .await
                .unwrap();
            let opened = Keys::open(store, 2).await;
            assert!(matches!(opened, Err(StoreError::Corrupt(_))));
        }
    }
}
