//! The request that is explained, as if it had come.

use crate::CacheProxy;
use crate::asked::Asked;
use crate::link;
use crate::placing::Placing;
use crate::tier::{Link, TierKind};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use seawall_client_conn::{ConnInfo, Protocol};
use seawall_control_protocol::explain::ExplainGet;
use seawall_service_model::Scheme;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

impl CacheProxy {
    /// The request, as if it had come: to an edge from a client, to a shield from an edge that knows as much as it.
    pub(super) fn suppose(&self, get: &ExplainGet) -> Result<Arc<Asked>, String> {
        let snapshot = self.snapshot().clone();
        let host =
            HeaderValue::from_str(&get.host).map_err(|_| "the host is no host".to_owned())?;
        let mut fields = HeaderMap::new();
        for (name, value) in &get.fields {
            let name = HeaderName::from_bytes(name.as_bytes());
            match (name, HeaderValue::from_str(value)) {
                (Ok(name), Ok(value)) => fields.append(name, value),
                _ => return Err("a header is none".to_owned()),
            };
        }
        link::strip(&mut fields);
        fields.insert(header::HOST, host);
        let Some(service) = snapshot.services.find(get.host.as_bytes()).cloned() else {
            return Err(format!("no service for host {}", get.host));
        };
        let scheme = if get.scheme == "https" {
            Scheme::Https
        } else {
            Scheme::Http
        };
        let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let info = ConnInfo {
            peer: nobody,
            local: nobody,
            scheme: match scheme {
                Scheme::Http => seawall_client_conn::Scheme::Http,
                Scheme::Https => seawall_client_conn::Scheme::Https,
            },
            protocol: Protocol::Http1,
            client_identity: None,
        };
        let link = match self.tier().kind() {
            TierKind::Edge => Link::Client,
            TierKind::Shield => Link::Fleet {
                scheme,
                hops: 1,
                told: snapshot.told(snapshot.label()),
                insists: false,
                refreshes: false,
                reaches: false,
            },
        };
        let since = self.since(&service, &link);
        let asked = Self::placed(Placing {
            snapshot,
            service,
            info: Arc::new(info),
            link,
            scheme,
            method: Method::GET,
            version: Version::HTTP_11,
            host: get.host.clone().into_bytes(),
            target: get.target.clone(),
            fields,
            received: Instant::now(),
        });
        Ok(Arc::new(Asked { since, ..asked }))
    }
}
