"""What the authorizer adds to the bill: the figures of docs/costs.md, which a test compares."""

# US dollars for a million requests, us-east-1, list prices; API Gateway's own price is paid already.
PER_MILLION = {"invocations": 0.20, "duration at 256 MB": 0.03, "DynamoDB reads": 0.38, "log lines": 0.45}
# US dollars a month for a deployed stack without a request.
IDLE = (5.08, 5.48)


def lines(requests):
    """The costs of a month with this number of requests, for people."""
    added = sum(PER_MILLION.values())
    parts = ", ".join(f"{name} {price:.2f}" for name, price in PER_MILLION.items())
    return [
        f"${added:.2f} for a million requests ({parts}), so ${added * requests / 1e6:.2f} for {requests:,} a month",
        f"${IDLE[0]:.2f} to ${IDLE[1]:.2f} a month for the whole stack without a request; the core alone costs less",
        "list prices without free tiers: docs/costs.md has their dates",
    ]
