//! The origins of services, ready to be asked.

use crate::ask::{Hop, Role};
use crate::target::{TargetError, TargetSpec, TargetTls};
use crate::upstream::Upstream;
use http::HeaderValue;
use seawall_service_model::{Origin, Service};
use std::collections::HashMap;
use std::sync::Arc;

/// Services with their origins, by where the service lies: each question finds them again without reading them.
#[derive(Default)]
pub(crate) struct Ready(HashMap<usize, (Arc<Service>, Arc<[Hop]>)>);

/// The service is held where it is found by that.
fn place(service: &Arc<Service>) -> usize {
    Arc::as_ptr(service).addr()
}

impl Ready {
    pub(crate) fn put(&mut self, service: &Arc<Service>, origins: Arc<[Hop]>) {
        self.0.insert(place(service), (service.clone(), origins));
    }

    fn get(&self, service: &Arc<Service>) -> Option<Arc<[Hop]>> {
        let (_, origins) = self.0.get(&place(service))?;
        Some(origins.clone())
    }
}

fn spec(origin: &Origin) -> TargetSpec {
    TargetSpec {
        host: origin.host.clone(),
        port: origin.port,
        tls: origin.tls.as_ref().map(|tls| TargetTls {
            sni: tls.sni.clone(),
            verify: tls.verify,
            ca_file: tls.ca_file.clone(),
            client: None,
        }),
    }
}

fn hop(upstream: &Upstream, origin: &Origin) -> Result<Hop, TargetError> {
    let host_header = origin
        .host_header
        .as_ref()
        .and_then(|h| HeaderValue::from_str(h).ok());
    Ok(Hop {
        target: upstream.target(spec(origin))?,
        role: Role::Origin,
        host_header,
    })
}

/// The origins of `service`, in order.
pub(crate) fn origins(upstream: &Upstream, service: &Service) -> Result<Arc<[Hop]>, TargetError> {
    let hops = service.origins.iter().map(|origin| hop(upstream, origin));
    hops.collect()
}

/// The origins of `service`, in order. Of one that is in force no more an origin whose files have gone since is left out.
pub fn origin_hops(upstream: &Upstream, service: &Arc<Service>) -> Arc<[Hop]> {
    if let Some(ready) = upstream.ready.load().get(service) {
        return ready;
    }
    let hop = |origin| match hop(upstream, origin) {
        Ok(hop) => Some(hop),
        Err(error) => {
            tracing::error!(%error, service = &*service.id.0, "an origin cannot be asked");
            None
        }
    };
    service.origins.iter().filter_map(hop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use seawall_telemetry::{Metrics, NodeKind};

    fn service(port: u16) -> Arc<Service> {
        let origin = Origin {
            host: "127.0.0.1".into(),
            port,
            tls: None,
            host_header: Some("origin.example".into()),
        };
        Arc::new(Service::new("shop", Vec::new(), origin))
    }

    #[tokio::test]
    async fn each_version_of_a_service_is_asked_of_its_own_origins_in_force_or_not() {
        let upstream = Upstream::new(Metrics::new(NodeKind::Edge, "test"));
        let (old, new) = (service(1), service(2));
        for in_force in [&old, &new] {
            upstream.prepare([in_force].into_iter()).unwrap();
            for (service, port) in [(&old, 1), (&new, 2)] {
                let hops = origin_hops(&upstream, service);
                assert_eq!(hops.len(), 1);
                assert_eq!(hops[0].target.spec().port, port);
                assert_eq!(hops[0].host_header.as_ref().unwrap(), "origin.example");
                // one server has one health and one pool
                let again = upstream.target(hops[0].target.spec().clone()).unwrap();
                assert!(Arc::ptr_eq(&hops[0].target, &again));
            }
        }
        let ready = |service| upstream.ready.load().get(service).is_some();
        assert!(!ready(&old) && ready(&new));
    }
}
