"""Looks at a set-up of Amazon Cognito and API Gateway, and says what is wrong, why, and what mends it."""
