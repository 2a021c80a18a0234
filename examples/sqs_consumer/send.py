"""Gives the worker some work."""

import os

import boto3

client = boto3.client("sqs")
for film in ("metropolis", "nosferatu", "the general"):
    client.send_message(QueueUrl=os.environ["QUEUE_URL"], MessageBody=film)
    print(film)
