//! The routes of an API, and which of them a request's path is.

use domain::config::Config;
use domain::mapping::RequestParameters;
use domain::route_path::RoutePath;

/// A route and its integration.
pub(super) struct ApiRoute {
    /// The configuration's name for it; of deployed ones the integration's id.
    pub(super) name: String,
    /// Such as `POST /sqs-hook`.
    pub(super) key: String,
    pub(super) path: RoutePath,
    pub(super) parameters: RequestParameters,
}

/// The routes of an API.
pub(super) struct Routes(Vec<ApiRoute>);

impl Routes {
    /// The routes of a configuration, to the queue at `queue_url`.
    pub(super) fn of(config: &Config, queue_url: &str) -> Self {
        let routes = config.routes().values().flat_map(|route| {
            route.paths().zip(route.route_keys()).map(|(path, key)| ApiRoute {
                name: route.name().to_owned(),
                key,
                path: path.clone(),
                parameters: route.integration(queue_url),
            })
        });
        Self(routes.collect())
    }

    /// These routes.
    pub(super) fn new(routes: Vec<ApiRoute>) -> Self {
        Self(routes)
    }

    /// The route whose path is that of a request, with the values of the path's parameters.
    pub(super) fn find<'a>(
        &'a self,
        path: &'a str,
    ) -> Option<(&'a ApiRoute, Vec<(&'a str, &'a str)>)> {
        RoutePath::choose(&self.0, |route| &route.path, path)
    }
}
