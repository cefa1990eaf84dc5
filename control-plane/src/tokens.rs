//! Operators' tokens: random, shown once, stored as digests.

use crate::record::By;
use crate::services::{decode, encode};
use crate::store::{Expect, Store, StoreError};
use parking_lot::RwLock;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::watch;

const PREFIX: &str = "tokens/";
/// What every token begins with, so that one that leaked is recognised.
pub(crate) const MARK: &str = "swt_";
const ID_BYTES: usize = 4;
const SECRET_BYTES: usize = 32;
pub const TOKENS_MAX: usize = 1000;
/// Bytes of a token's name.
pub const NAME_BYTES_MAX: usize = 64;

/// What a token allows; each role has the rights of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looking.
    Read,
    /// Purging.
    Purge,
    /// Everything.
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Purge => "purge",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Read, Self::Purge, Self::Admin]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("a role is \"read\", \"purge\" or \"admin\"")
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    name: String,
    role: Role,
    /// SHA-256 of the whole token, in hexadecimal digits: it is random, so nothing slower is needed.
    sha256: String,
    created_ms: u64,
}

/// A token, without what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenView {
    pub id: String,
    pub name: String,
    pub role: Role,
    pub created_ms: u64,
}

/// Who shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub token_id: String,
    pub name: String,
    pub role: Role,
}

impl Caller {
    /// As what it changes tells it.
    pub fn by(&self) -> By {
        By {
            name: self.name.clone(),
            token: Some(self.token_id.clone()),
            node: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("a name has 1 to {NAME_BYTES_MAX} printable characters")]
    Name,
    #[error("there are {TOKENS_MAX} tokens: revoke some")]
    TooMany,
    #[error("the last admin token cannot be revoked")]
    LastAdmin,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// All tokens.
pub struct Tokens {
    store: Arc<dyn Store>,
    by_id: RwLock<BTreeMap<String, Kept>>,
    changing: tokio::sync::Mutex<()>,
    /// Counts revocations.
    revoked: watch::Sender<u64>,
}

impl Tokens {
    pub async fn open(store: Arc<dyn Store>) -> Result<Self, StoreError> {
        let mut tokens = BTreeMap::new();
        for document in store.list(PREFIX).await?.documents {
            let kept: Kept = decode(&document)?;
            tokens.insert(document.key[PREFIX.len()..].to_owned(), kept);
        }
        Ok(Self {
            store,
            by_id: RwLock::new(tokens),
            changing: tokio::sync::Mutex::default(),
            revoked: watch::Sender::default(),
        })
    }

    /// Makes a token; its text is told this once.
    pub async fn create(
        &self,
        name: &str,
        role: Role,
        now_ms: u64,
    ) -> Result<(TokenView, String), TokenError> {
        let legal = (1..=NAME_BYTES_MAX).contains(&name.len())
            && name.chars().all(|c| !c.is_control())
            && name.trim() == name;
        if !legal {
            return Err(TokenError::Name);
        }
        let _one = self.changing.lock().await;
        if self.by_id.read().len() >= TOKENS_MAX {
            return Err(TokenError::TooMany);
        }
        let mut random = [0; ID_BYTES + SECRET_BYTES];
        getrandom::fill(&mut random).map_err(|_| StoreError::Unavailable)?;
        let (id, secret) = (hex(&random[..ID_BYTES]), hex(&random[ID_BYTES..]));
        let text = format!("{MARK}{id}_{secret}");
        let kept = Kept {
            name: name.to_owned(),
            role,
            sha256: sha256(&text),
            created_ms: now_ms,
        };
        // an id that is taken is as likely as a broken random source: an error, not a loss
        self.store
            .put(&format!("{PREFIX}{id}"), encode(&kept), Expect::Absent)
            .await?;
        let view = view(&id, &kept);
        self.by_id.write().insert(id, kept);
        Ok((view, text))
    }

    /// Who shows `text`. The comparison is of digests: its time tells nothing of the token.
    pub fn caller(&self, text: &str) -> Option<Caller> {
        let id = text.strip_prefix(MARK)?.split('_').next()?;
        let tokens = self.by_id.read();
        let kept = tokens.get(id)?;
        (kept.sha256 == sha256(text)).then(|| Caller {
            token_id: id.to_owned(),
            name: kept.name.clone(),
            role: kept.role,
        })
    }

    /// Whether the token of this id was not revoked.
    pub fn holds(&self, id: &str) -> bool {
        self.by_id.read().contains_key(id)
    }

    /// Says when a token was revoked.
    pub fn revocations(&self) -> watch::Receiver<u64> {
        self.revoked.subscribe()
    }

    pub fn list(&self) -> Vec<TokenView> {
        let tokens = self.by_id.read();
        tokens.iter().map(|(id, kept)| view(id, kept)).collect()
    }

    /// From now on the token is nothing. False: there is none of this id.
    pub async fn revoke(&self, id: &str) -> Result<bool, TokenError> {
        let _one = self.changing.lock().await;
        {
            let tokens = self.by_id.read();
            let Some(kept) = tokens.get(id) else {
                return Ok(false);
            };
            let admins = tokens.values().filter(|kept| kept.role == Role::Admin);
            if kept.role == Role::Admin && admins.count() == 1 {
                return Err(TokenError::LastAdmin);
            }
        }
        match self
            .store
            .delete(&format!("{PREFIX}{id}"), Expect::Any)
            .await
        {
            // it is gone already: a revocation that was not known to be done
            Ok(_) | Err(StoreError::Conflict { current: None }) => {}
            Err(error) => return Err(error.into()),
        }
        self.by_id.write().remove(id);
        self.revoked.send_modify(|count| *count += 1);
        Ok(true)
    }
}

fn view(id: &str, kept: &Kept) -> TokenView {
    TokenView {
        id: id.to_owned(),
        name: kept.name.clone(),
        role: kept.role,
        created_ms: kept.created_ms,
    }
}

fn sha256(text: &str) -> String {
    hex(digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;
    use seawall_purge::Epoch;

    #[tokio::test]
    async fn a_token_is_known_by_its_text_alone_and_stored_as_a_digest() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let tokens = Tokens::open(store.clone()).await.unwrap();
        let (view, text) = tokens.create("ci", Role::Purge, 1).await.unwrap();
        let stored = store.list(PREFIX).await.unwrap().documents;
        let body = stored[0].body.clone().unwrap();
        let secret = text.rsplit('_').next().unwrap();
        assert!(!String::from_utf8_lossy(&body).contains(secret));
        let again = Tokens::open(store).await.unwrap();
        let caller = again.caller(&text).unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("ci", Role::Purge));
        for wrong in [
            "",
            "swt_",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &format!("swt_{}_", view.id),
        ] {
            assert_eq!(again.caller(wrong), None, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_revoked_token_is_nothing_and_the_last_admin_stays() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Epoch(1)));
        let tokens = Tokens::open(store).await.unwrap();
        let (admin, _) = tokens.create("root", Role::Admin, 1).await.unwrap();
        let (ci, text) = tokens.create("ci", Role::Read, 1).await.unwrap();
        assert!(tokens.revoke(&ci.id).await.unwrap());
        assert!(!tokens.revoke(&ci.id).await.unwrap());
        assert_eq!(tokens.caller(&text), None);
        let last = tokens.revoke(&admin.id).await;
        assert!(matches!(last, Err(TokenError::LastAdmin)));
        assert!(tokens.create(" x", Role::Read, 1).await.is_err());
    }
}
