//! The way of one call through the routes.

use std::collections::HashSet;

use torchmesh_api::ids::ModelName;

use super::{Brought, Destination, FallbackWhen, Routes};

/// See [`Routes::find`].
pub(super) fn search<T>(
    routes: &Routes,
    name: &ModelName,
    brought: Brought<'_>,
    takes: impl FnMut(&Destination, FallbackWhen) -> Option<T>,
) -> Option<T> {
    Search { routes, brought, takes, in_vain: HashSet::new() }.follow(name, FallbackWhen::default())
}

struct Search<'a, F> {
    routes: &'a Routes,
    brought: Brought<'a>,
    takes: F,
    /// Routes none of whose destinations was taken. They would not be at another time: what a call comes to at a route is the same by whatever way it gets there.
    in_vain: HashSet<&'a ModelName>,
}

impl<'a, F> Search<'a, F> {
    /// What the route of `name` comes to; `when` is that of the route that leads here, which a name without a route takes over.
    fn follow<T>(&mut self, name: &'a ModelName, when: FallbackWhen) -> Option<T>
    where
        F: FnMut(&Destination, FallbackWhen) -> Option<T>,
    {
        let routes = self.routes;
        let Some(route) = routes.get(name) else { return (self.takes)(&Destination { model: name.clone(), version: None }, when) };
        if self.in_vain.contains(name) {
            return None;
        }
        let when = route.fallback_when;
        for to in route.destinations(name, self.brought) {
            // A destination without a version that has a route of its own is where that route goes; a model's own name among its destinations is the model itself.
            let found = if to.version.is_none() && to.model != *name { self.follow(&to.model, when) } else { (self.takes)(to, when) };
            if found.is_some() {
                return found;
            }
        }
        self.in_vain.insert(name);
        route.fallback.iter().find_map(|model| self.follow(model, when))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use http::HeaderMap;

    use super::*;
    use crate::routes::read::parse;

    fn asked(file: &str, model: &str) -> Vec<(String, FallbackWhen)> {
        let mut asked = Vec::new();
        let headers = HeaderMap::new();
        let brought = Brought { headers: &headers, content: None, draw: 1 };
        parse(file).unwrap().find(&ModelName::parse(model).unwrap(), brought, |to, when| {
            asked.push((to.version.map_or_else(|| to.model.to_string(), |version| format!("{}@{version}", to.model)), when));
            None::<()>
        });
        asked
    }

    #[test]
    fn of_thirty_models_with_two_fallbacks_each_everyone_is_asked_once() {
        let mut file = String::new();
        for at in 0..30 {
            let fallback = (at + 1..30).take(2).map(|next| format!("'m{next}'")).collect::<Vec<_>>().join(", ");
            writeln!(file, "[[route]]\nmodel = 'm{at}'\nto = [{{ version = '1' }}]\nfallback = [{fallback}]").unwrap();
        }
        // By every way it would be more than a million times.
        let asked: Vec<_> = asked(&file, "m0").into_iter().map(|(model, _)| model).collect();
        assert_eq!(asked, (0..30).map(|at| format!("m{at}@1")).collect::<Vec<_>>());
    }

    #[test]
    fn each_destination_goes_by_the_route_that_names_it_and_a_model_without_a_route_by_the_one_that_leads_there() {
        use FallbackWhen::{Absent, Failing};
        let file = "
            [[route]]
            model = 'a'
            to = [{ version = '1' }]
            fallback = ['b', 'plain']
            fallback_when = 'failing'
            [[route]]
            model = 'b'
            to = [{ version = '2' }]
        ";
        assert_eq!(asked(file, "a"), [("a@1".into(), Failing), ("b@2".into(), Absent), ("plain".into(), Failing)]);
        assert_eq!(asked(file, "plain"), [("plain".into(), Absent)]);
    }
}
