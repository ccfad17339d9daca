"""What happens to deliveries, each in one transaction: taken in, recorded, recovered, sent again, given up."""
