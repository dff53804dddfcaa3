"""The rules by which alarms are judged."""

import unittest

from alarm_rules import judge, periods


def alarm(**changes):
    return {
        "Period": 10, "EvaluationPeriods": 3, "Threshold": 0.5,
        "ComparisonOperator": "LessThanThreshold", "TreatMissingData": "ignore", **changes,
    }


def state(points, **changes):
    verdict = judge(alarm(**changes), points)
    return verdict and verdict[0]


class Judging(unittest.TestCase):
    def test_all_points_must_breach_unless_fewer_are_asked_for(self):
        self.assertEqual(state([0, 0, 0]), "ALARM")
        self.assertEqual(state([0, 1, 0]), "OK")
        self.assertEqual(state([0, 1, 0], DatapointsToAlarm=2), "ALARM")

    def test_the_threshold_itself_breaches_only_where_the_operator_says_so(self):
        for operator, expected in [
            ("LessThanThreshold", "OK"), ("LessThanOrEqualToThreshold", "ALARM"),
            ("GreaterThanThreshold", "OK"), ("GreaterThanOrEqualToThreshold", "ALARM"),
        ]:
            self.assertEqual(state([0.5, 0.5, 0.5], ComparisonOperator=operator), expected, operator)

    def test_silence_is_what_the_alarm_says_it_is(self):
        nothing = [None, None, None]
        for treat, expected in [
            ("breaching", "ALARM"), ("notBreaching", "OK"), ("missing", "INSUFFICIENT_DATA"), ("ignore", None),
        ]:
            self.assertEqual(state(nothing, TreatMissingData=treat), expected, treat)

    def test_an_alarm_without_a_word_on_silence_treats_it_as_missing(self):
        plain = alarm()
        del plain["TreatMissingData"]
        self.assertEqual(judge(plain, [None, None, None])[0], "INSUFFICIENT_DATA")

    def test_gaps_keep_the_state_only_while_they_could_have_decided_it(self):
        self.assertIsNone(state([0, None, 0]))
        self.assertEqual(state([1, None, 0]), "OK")
        self.assertEqual(state([0, None, 0], TreatMissingData="breaching"), "ALARM")
        self.assertEqual(state([0, None, 0], TreatMissingData="notBreaching"), "OK")

    def test_a_gap_does_not_hide_enough_bad_points(self):
        self.assertEqual(state([0, None, 0], DatapointsToAlarm=2), "ALARM")

    def test_the_reason_names_points_and_threshold(self):
        reason = judge(alarm(), [0, 0, 0])[1]
        self.assertEqual(reason, "3 of the last 3 data points [0, 0, 0] breach the threshold 0.5")


class Periods(unittest.TestCase):
    def test_only_complete_periods_count_oldest_first(self):
        self.assertEqual(periods(alarm(), 1039.9), [1000, 1010, 1020])
        self.assertEqual(periods(alarm(), 1040), [1010, 1020, 1030])


if __name__ == "__main__":
    unittest.main()
