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
    2.0 * EARTH_RADIUS_KM * haversine(a, b).sqrt().asin()
}

/// The haversine of the angle between two places, 0 to 1.
fn haversine(a: Coordinates, b: Coordinates) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin();
    let (north, east) = (half(a.latitude, b.latitude), half(a.longitude, b.longitude));
    let across = a.latitude.to_radians().cos() * b.latitude.to_radians().cos() * east * east;
    // Rounding may pass 1 for opposite points, where the arc sine ends.
    (north * north + across).clamp(0.0, 1.0)
}

/// A place as a unit vector from the centre of the Earth: comparing distances
/// from it then takes no angle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point([f64; 3]);

impl Point {
    pub(super) fn new(at: Coordinates) -> Self {
        let (sin_lat, cos_lat) = at.latitude.to_radians().sin_cos();
        let (sin_lon, cos_lon) = at.longitude.to_radians().sin_cos();
        Self([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
    }

    /// The square of the chord to `to`, 0 to 4: four times the haversine, so it orders as the distance does.
    pub(super) fn chord_squared_to(self, to: Self) -> f64 {
        self.0.iter().zip(to.0).map(|(from, to)| (from - to) * (from - to)).sum()
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
