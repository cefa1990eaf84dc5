//! The head of what was made of a copy, which lies beside it.

use crate::CacheProxy;
use crate::copy::recoded_fields;
use http::{HeaderValue, header};
use seawall_cache_store::{Body, Coding, Head, HeadParts, Hidden, Recoding, Sums};
use seawall_purge::Generation;
use std::sync::Arc;

/// What was made, and where its body is.
pub(super) struct Made<'b> {
    pub(super) generation: Generation,
    pub(super) length: u64,
    /// Under which its chunks lie, with their checksums; where it has none, `inline` is all of it.
    pub(super) object: u128,
    pub(super) sums: Sums,
    pub(super) inline: Option<&'b [&'b [u8]]>,
}

/// The head of `made` by `recoding` of the copy `of`: as that one is now, a 304 may have come since it was begun.
pub(super) fn recoded_head(of: &Head, recoding: Recoding, made: Made<'_>) -> Head {
    let parts = of.fields();
    let mut fields = parts.fields;
    recoded_fields(&mut fields, recoding);
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(made.length));
    Head::new(
        HeadParts {
            generation: made.generation,
            revision: 0,
            label: of.label(),
            status: of.status,
            fields: &fields,
            // nothing is judged or asked by it
            hidden: Hidden::default(),
            upstream_cache_status: &parts.upstream_cache_status,
            freshness: of.freshness(),
            length: made.length,
            scopes: of.scopes(),
            coding: Coding::Recoded(recoding, of.generation(), of.revision),
            object: made.object,
            sums: made.sums,
        },
        made.inline,
    )
}

/// After a validation the copy `of` has newer fields and the same bytes: what was made of it gets them too.
pub(crate) fn refresh(
    proxy: &CacheProxy,
    key: u128,
    variant: u64,
    of: &Head,
    recoded: &Head,
    recoding: Recoding,
) -> Arc<Head> {
    let body = recoded.inline();
    let (object, sums, inline) = match recoded.body() {
        // what was recoded is stored whole
        Body::Inline | Body::Part(_) => (key, Sums::default(), Some([body])),
        Body::Chunks(chunks) => (chunks.object, chunks.sums.clone(), None),
    };
    let made = Made {
        generation: recoded.generation(),
        length: recoded.length,
        object,
        sums,
        inline: inline.as_ref().map(|i| &i[..]),
    };
    let head = Arc::new(recoded_head(of, recoding, made));
    proxy
        .store()
        .insert_recoded(key, variant, recoding, head.clone());
    head
}
