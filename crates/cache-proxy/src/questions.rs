//! What the control plane asks of a node, answered alike by edges and shields.

use crate::CacheProxy;
use seawall_control_protocol::{About, Demand, Estimate, Told};

impl CacheProxy {
    /// Answers; an error says in one line why that cannot be told. Nothing is changed by it.
    pub async fn answer(&self, about: &About) -> Result<Told, String> {
        match about {
            About::Estimate { scopes } => {
                let count = self.store().estimate(scopes, seawall_client_conn::now());
                Ok(Told::Estimate(Estimate {
                    one_in: count.one_in,
                    objects: count.objects,
                    bytes: count.bytes,
                    bytes_squared: count.bytes_squared,
                    sampled: count.sampled,
                    partial: count.partial,
                    demand: Some(Demand {
                        second: count.asked_second,
                        minute: count.asked_minute,
                    }),
                }))
            }
            About::Explain(get) => {
                let explained = self.explain(get).await?;
                Ok(Told::Explained(Box::new(explained)))
            }
        }
    }
}
