//! Distance over the ground.
//!
//! The haversine formula (R. W. Sinnott, "Virtues of the Haversine", Sky and
//! Telescope 68, 1984, p. 159) on a sphere of the mean radius of the Earth. It
//! stays exact for near points, where the law of cosines loses its digits; the
//! sphere itself is wrong by at most about 0.5%.

use crate::region::Coordinates;

/// The mean radius of the Earth in kilometres (IUGG, R1 of GRS 80).
pub const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Kilometres between `a` and `b` over the ground, from 0 to about 20,015.
///
/// ```
/// use sealane::{region::Coordinates, route::geo::distance_km};
///
/// let oregon = Coordinates { latitude: 45.87, longitude: -119.69 };
/// let dublin = Coordinates { latitude: 53.35, longitude: -6.26 };
/// assert_eq!(distance_km(oregon, dublin).round(), 7312.0);
/// ```
pub fn distance_km(a: Coordinates, b: Coordinates) -> f64 {
    2.0 * EARTH_RADIUS_KM * Origin::new(a).haversine_to(b).sqrt().asin()
}

/// The point that distances are compared from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    at: Coordinates,
    cos_latitude: f64,
}

impl Origin {
    pub(super) fn new(at: Coordinates) -> Self {
        Self { at, cos_latitude: at.latitude.to_radians().cos() }
    }

    /// The haversine of the angle to `to`, 0 to 1: it orders as the distance
    /// does, without the root and the arc sine.
    pub(super) fn haversine_to(&self, to: Coordinates) -> f64 {
        let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
        let north = half(self.at.latitude, to.latitude);
        let east = half(self.at.longitude, to.longitude);
        let across = self.cos_latitude * to.latitude.to_radians().cos() * east * east;
        // Rounding may pass 1 for opposite points, where the arc sine ends.
        (north * north + across).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point() -> impl Strategy<Value = Coordinates> {
        (-90.0..=90.0_f64, -180.0..=180.0_f64)
            .prop_map(|(latitude, longitude)| Coordinates { latitude, longitude })
    }

    proptest! {
        /// A distance is a metric: symmetric, zero to itself, no shorter by a detour, at most half the globe.
        #[test]
        fn distance_is_a_metric(a in point(), b in point(), c in point()) {
            let direct = distance_km(a, b);
            prop_assert!((direct - distance_km(b, a)).abs() < 1e-6);
            prop_assert!(distance_km(a, a) < 1e-6);
            prop_assert!(direct <= distance_km(a, c) + distance_km(c, b) + 1e-3);
            prop_assert!((0.0..=std::f64::consts::PI * EARTH_RADIUS_KM + 1e-6).contains(&direct));
        }

        /// The date line is no wall: 180 east and 180 west are one meridian.
        #[test]
        fn the_date_line_is_no_wall(latitude in -89.0..89.0_f64, off in 0.0..10.0_f64) {
            let east = Coordinates { latitude, longitude: 180.0 - off };
            let west = Coordinates { latitude, longitude: -180.0 - off };
            prop_assert!(distance_km(east, west) < 1e-3);
        }
    }

    /// A quarter of a great circle, and the opposite point.
    #[test]
    fn known_arcs_have_their_length() {
        let at = |latitude, longitude| Coordinates { latitude, longitude };
        let quarter = std::f64::consts::FRAC_PI_2 * EARTH_RADIUS_KM;
        assert!((distance_km(at(0.0, 0.0), at(90.0, 0.0)) - quarter).abs() < 1e-6);
        assert!((distance_km(at(0.0, -90.0), at(0.0, 90.0)) - 2.0 * quarter).abs() < 1e-6);
    }
}
