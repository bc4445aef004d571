"""AWS clients with retries, and what several commands need to know of AWS's responses."""

import boto3
from botocore.config import Config

# Adaptive: the SDK slows down when a service throttles, instead of giving up.
RETRIES = Config(retries={"mode": "adaptive", "total_max_attempts": 12}, connect_timeout=10, read_timeout=60)


class Aws:
    """The clients of one account and region, each made once."""

    def __init__(self, region=None, profile=None, endpoint=None, session=None):
        self.session = session or boto3.Session(region_name=region, profile_name=profile)
        self.endpoint = endpoint
        self.clients = {}

    def client(self, service):
        if service not in self.clients:
            self.clients[service] = self.session.client(service, endpoint_url=self.endpoint, config=RETRIES)
        return self.clients[service]

    @property
    def region(self):
        return self.session.region_name

    @property
    def partition(self):
        return self.session.get_partition_for_region(self.region)
