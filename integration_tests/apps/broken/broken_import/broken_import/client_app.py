"""A station: nobody will ever ask it anything."""

from flwr.clientapp import ClientApp

app = ClientApp()
