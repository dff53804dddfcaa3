"""Which metrics a log line carries."""

import json
import unittest

from function_logs import metrics_in


def line(**changes):
    directive = {
        "Namespace": "Sealane", "Dimensions": [["Observer", "Region"], ["Region"]],
        "Metrics": [{"Name": "RegionLatency", "Unit": "Milliseconds", "StorageResolution": 1}],
    }
    document = {
        "_aws": {"Timestamp": 1_700_000_000_500, "CloudWatchMetrics": [directive]},
        "Observer": "us-east-1", "Region": "us-west-2", "RegionLatency": 12.5,
    }
    document.update(changes)
    return json.dumps({key: value for key, value in document.items() if value is not None})


class Metrics(unittest.TestCase):
    def test_each_dimension_set_stores_the_value_once(self):
        both = {"Observer": "us-east-1", "Region": "us-west-2"}
        common = ("Sealane", "RegionLatency")
        self.assertEqual(list(metrics_in(line())), [
            (*common, both, 1_700_000_000.5, "Milliseconds", 12.5),
            (*common, {"Region": "us-west-2"}, 1_700_000_000.5, "Milliseconds", 12.5),
        ])

    def test_a_list_is_many_values(self):
        self.assertEqual([m[-1] for m in metrics_in(line(RegionLatency=[1, 2]))], [1, 2, 1, 2])

    def test_what_is_no_number_or_not_there_is_no_metric(self):
        self.assertEqual(list(metrics_in(line(RegionLatency=None))), [])
        self.assertEqual(list(metrics_in(line(RegionLatency=True))), [])

    def test_an_ordinary_line_is_no_metric(self):
        for text in ["", "hello", '{"level":"info"}', '{"_aws":', '{"_aws":{"Timestamp":"x"}}', '"_aws"']:
            self.assertEqual(list(metrics_in(text)), [], text)


if __name__ == "__main__":
    unittest.main()
