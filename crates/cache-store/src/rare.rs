//! What few heads have: it lies by itself, and costs the others a pointer.

use crate::head::{Body, Coding, Recoding};
use crate::hidden::Hidden;
use seawall_http_cache::ContentCoding;
use seawall_purge::Generation;

/// Of a head whose body is not beside it, that was made of another, or whose fields a rule changed.
#[derive(Debug)]
pub(crate) struct Rare {
    pub(crate) body: Body,
    recoded: Option<(Recoding, Generation, u32)>,
    pub(crate) hidden: Hidden,
}

/// A [`Coding`], but that what it was made of stands elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Short {
    AsIs,
    Negotiable,
    Decodable(ContentCoding),
    Recoded,
}

impl Rare {
    /// What of these has to be held, and the rest of the coding.
    pub(crate) fn of(body: Body, coding: Coding, hidden: Hidden) -> (Short, Option<Box<Self>>) {
        let (short, recoded) = match coding {
            Coding::AsIs => (Short::AsIs, None),
            Coding::Negotiable => (Short::Negotiable, None),
            Coding::Decodable(coding) => (Short::Decodable(coding), None),
            Coding::Recoded(recoding, generation, revision) => {
                (Short::Recoded, Some((recoding, generation, revision)))
            }
        };
        let is_usual =
            matches!(body, Body::Inline) && recoded.is_none() && hidden == Hidden::default();
        let rare = (!is_usual).then(|| {
            Box::new(Self {
                body,
                recoded,
                hidden,
            })
        });
        (short, rare)
    }

    pub(crate) fn coding(short: Short, rare: Option<&Self>) -> Coding {
        match (short, rare.and_then(|rare| rare.recoded)) {
            (Short::Negotiable, _) => Coding::Negotiable,
            (Short::Decodable(coding), _) => Coding::Decodable(coding),
            (Short::Recoded, Some((recoding, generation, revision))) => {
                Coding::Recoded(recoding, generation, revision)
            }
            (Short::AsIs | Short::Recoded, _) => Coding::AsIs,
        }
    }
}
