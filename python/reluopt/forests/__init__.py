"""Decision trees and random forests of scikit-learn, and their exact nearest inputs."""
